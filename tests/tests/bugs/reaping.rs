// SPDX-License-Identifier: Apache-2.0
//! Who has ended: every status reaches its service, and nobody stays a zombie.

use anyhow::Result;
use kubermesh_tests::stage::{Running, Stage, patience};

use super::{WORK, plays};

const RESTS_LONG: &str = "[restart]\nrests = [\"1h\"]\n";
const TASK: &str = "kind = \"task\"\n[ready]\nwithin = \"5min\"\n";

/// Processes inside, zombies too.
fn processes(stage: &Running) -> Result<usize> {
    let names = std::fs::read_dir(stage.path("/proc"))?.flatten().map(|entry| entry.file_name());
    Ok(names.filter(|name| name.to_string_lossy().parse::<u32>().is_ok()).count())
}

#[test]
fn no_exit_status_is_lost_while_thousands_of_orphans_end() -> Result<()> {
    const SERVICES: usize = 1000;
    let mut stage = Stage::new()?;
    for number in 0..5 {
        stage = stage.service(&format!("a{number}"), &plays("start 1000 { exit 0 }", TASK));
    }
    for number in 0..SERVICES {
        stage = stage.service(&format!("s{number}"), &plays("exit 3", RESTS_LONG));
    }
    let stage = stage.start_node()?;
    stage.wait_for("all to have ended", WORK * patience(), |stage| {
        let services = stage.services()?;
        let done = services.values().filter(|one| one.state == "done").count();
        let resting = services.values().filter(|one| one.state == "resting").count();
        Ok((done, resting) == (5, SERVICES))
    })?;
    for (name, service) in stage.services()?.iter().filter(|(name, _)| name.starts_with('s')) {
        assert_eq!((service.starts, service.failures), (1, 1), "{name}");
        assert!(service.sentence.contains("exit status 3"), "{name}: {}", service.sentence);
    }
    Ok(())
}

#[test]
fn twenty_thousand_orphans_leave_no_zombie() -> Result<()> {
    let mut stage = Stage::new()?;
    for number in 0..10 {
        stage = stage.service(&format!("brood{number}"), &plays("start 2000 { exit 0 }", TASK));
    }
    let stage = stage.service("good", &plays("stay", "")).start_node()?;
    stage.wait_for("all to have ended", WORK * patience(), |stage| {
        Ok(stage.services()?.values().filter(|one| one.state == "done").count() == 10)
    })?;
    // PID 1 and the good one are left.
    stage.wait_until("nobody to be a zombie", |stage| Ok(processes(stage)? == 2))?;
    assert_eq!(stage.service("good")?.starts, 1);
    Ok(())
}
