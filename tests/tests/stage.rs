// SPDX-License-Identifier: Apache-2.0
//! PID 1 as it ships, on a stage: it comes up, keeps its services, goes in order; and this machine
//! notices nothing of it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use kubermesh_tests::stage::{Client, Ended, Running, Stage, node_program};
use rustix::process::Signal;
use serde_json::json;

/// A turn of PID 1 takes milliseconds; a busy machine makes a minute of it.
const SOON: Duration = Duration::from_secs(120);

const STAYS: &str = r#"command = ["/actor", "stay"]"#;

#[test]
fn the_node_comes_up_and_runs_what_its_service_files_say() -> Result<()> {
    let once = "command = [\"/actor\", \"exit\", \"0\"]\nkind = \"task\"\nafter = [\"good\"]";
    let stage = Stage::new()?.service("good", STAYS).service("once", once).start_node()?;
    stage.wait_state("good", "running")?;
    stage.wait_state("once", "done")?;
    stage.wait_line("status=isolated", SOON)?;
    assert_eq!(stage.call("Status", &json!({}))?["word"], "isolated");
    Ok(())
}

/// docs/security.md: everyone on the node reads, root acts.
#[test]
fn a_process_that_is_not_roots_may_ask_and_may_not_act() -> Result<()> {
    let stage = Stage::new()?.service("good", STAYS).start_node()?;
    let first = stage.wait_state("good", "running")?;
    let mut anybody = Client::of_process(stage.pid(), 1000)?;
    assert!(anybody.call("Status", &json!({}))?["word"].is_string());
    for (method, parameters) in [
        ("Restart", json!({"service": "good"})),
        ("Identify", json!({"lasts": "0s"})),
        ("UpgradeInit", json!({})),
        ("Reboot", json!({})),
        ("PowerOff", json!({})),
    ] {
        let refused = anybody.call(method, &parameters).unwrap_err().to_string();
        assert!(refused.contains("org.kubermesh.Node.NotAllowed"), "{method}: {refused}");
    }
    assert_eq!(stage.service("good")?, first);
    // The same way as root: it is the user who makes the difference.
    Client::of_process(stage.pid(), 0)?.call("Restart", &json!({"service": "good"}))?;
    Ok(())
}

/// docs/decisions/0008 says what is in it.
#[test]
fn pid_1_is_a_program_of_a_million_bytes_at_most() -> Result<()> {
    let size = std::fs::metadata(node_program("init")?)?.len();
    assert!(size <= 1_000_000, "{size} bytes");
    Ok(())
}

#[test]
fn a_service_file_that_cannot_be_read_is_told_and_the_others_run() -> Result<()> {
    let folder = "/usr/lib/kubermesh/services/torn.toml";
    let stage = Stage::new()?.service("good", STAYS).file(format!("{folder}/a"), "", 0o644);
    let stage = stage.start_node()?;
    stage.wait_state("good", "running")?;
    let faults = stage.call("Status", &json!({}))?["status"]["faults"].clone();
    let told = "read torn.toml: Is a directory (os error 21)";
    assert!(faults.to_string().contains(told), "{faults}");
    Ok(())
}

#[test]
fn a_service_that_is_killed_runs_again() -> Result<()> {
    let stage = Stage::new()?.service("good", STAYS).start_node()?;
    let first = stage.wait_state("good", "running")?.pid.context("it has no process")?;
    stage.signal(first, Signal::KILL)?;
    stage.wait_until("a second run", |stage| {
        let now = stage.service("good")?;
        Ok(now.state == "running" && now.starts == 2 && now.pid != Some(first))
    })
}

/// Says so when it is told to go; ready once it hears that.
fn goes_at(order: u8, name: &str) -> String {
    format!(
        r#"command = ["/actor", "deaf", "notify", "READY=1", "until-term", "write", "/dev/kmsg", "{name} goes"]
        [ready]
        notify = true
        [stop]
        stage = {order}"#
    )
}

const BETWEEN: &str = r#"command = ["/actor", "write", "/dev/kmsg", "between goes"]
    kind = "stop"
    [stop]
    stage = 4"#;

#[test]
fn a_reboot_and_a_power_off_end_all_in_order() -> Result<()> {
    for (method, end) in [("Reboot", Ended::Restart), ("PowerOff", Ended::PowerOff)] {
        let mut stage = Stage::new()?
            .service("early", &goes_at(1, "early"))
            .service("between", BETWEEN)
            .service("late", &goes_at(9, "late"))
            .start_node()?;
        stage.wait_state("early", "running")?;
        stage.wait_state("late", "running")?;
        stage.call(method, &json!({}))?;
        assert_eq!(stage.ended(SOON)?, end);
        let said = stage.kmsg();
        let went: Vec<&str> = said.iter().filter_map(|line| line.strip_suffix(" goes")).collect();
        assert_eq!(went, ["early", "between", "late"]);
    }
    Ok(())
}

/// What an init sets, mounts and empties; each belongs to this machine.
const OURS: [&str; 6] = [
    "/proc/sys/kernel/panic",
    "/proc/sys/kernel/panic_on_oops",
    "/proc/sys/kernel/pid_max",
    "/proc/sys/kernel/hostname",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sys/net/ipv4/ip_forward",
];

#[test]
fn this_machine_notices_nothing() -> Result<()> {
    let look = || OURS.iter().map(std::fs::read_to_string).collect::<Result<Vec<_>, _>>();
    let (before, ours) = (look()?, tempfile::NamedTempFile::new()?);
    let mut stage = Stage::new()?.service("good", STAYS).start_node()?;
    stage.wait_state("good", "running")?;
    // Even root inside, and by hand.
    for setting in
        ["/proc/sys/kernel/panic", "/proc/sys/kernel/panic_on_oops", "/proc/sysrq-trigger"]
    {
        let wrote = stage.exec(&["/actor", "write", setting, "1"])?;
        assert!(!wrote.status.success(), "{setting} can be written inside");
    }
    assert!(!stage.path(&ours.path().display().to_string()).exists(), "the old root is in sight");
    let (cgroup, pid) = (stage.cgroup().to_owned(), stage.pid());
    stage.call("Reboot", &json!({}))?;
    assert_eq!(stage.ended(SOON)?, Ended::Restart);
    drop(stage);
    assert_eq!(look()?, before);
    assert!(!std::fs::read_to_string("/proc/self/mountinfo")?.contains("/kubermesh-stage-"));
    assert!(ours.path().exists() && !cgroup.exists());
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    Ok(())
}

#[test]
fn a_test_that_fails_leaves_nothing() -> Result<()> {
    let stage = Stage::new()?.service("good", STAYS).start_node()?;
    stage.wait_state("good", "running")?;
    let (cgroup, pids) = (stage.cgroup().to_owned(), stage.processes()?);
    assert!(pids.contains(&stage.pid()) && pids.len() >= 2 && cgroup.exists(), "{pids:?}");
    let failing = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _stage = stage;
        std::panic::resume_unwind(Box::new("a test that fails"));
    }));
    assert!(failing.is_err() && !cgroup.exists());
    for pid in pids {
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "{pid} lives on");
    }
    Ok(())
}

#[test]
fn a_crowd_at_the_control_socket_keeps_neither_pid_1_busy_nor_root_waiting() -> Result<()> {
    let stage = Stage::new()?.service("good", STAYS).start_node()?;
    stage.wait_state("good", "running")?;
    let mut crowd: Vec<_> = (0..40).map(|_| stage.client_as(1000)).collect::<Result<_>>()?;
    is_idle(&stage)?;
    // For root alone, and so from root.
    stage.call("Identify", &json!({"lasts": "0s"}))?;
    // The oldest made place for those who came later.
    assert!(crowd[0].call("Status", &json!({})).is_err(), "the first of forty is still heard");
    crowd[39].call("Status", &json!({}))?;
    is_idle(&stage)
}

/// PID 1 uses no time of the processor for a second.
fn is_idle(stage: &Running) -> Result<()> {
    let stat = format!("/proc/{}/stat", stage.pid());
    // proc_pid_stat(5): fields 14 and 15; the name in brackets is the second.
    let ticks = || -> Result<u64> {
        let text = std::fs::read_to_string(&stat)?;
        let fields = text.rsplit_once(')').context("no name in stat")?.1.split_whitespace();
        fields.skip(11).take(2).map(|field| Ok(field.parse::<u64>()?)).sum()
    };
    stage.wait_until("PID 1 to be idle", |_| {
        let before = ticks()?;
        // Time itself is measured here.
        std::thread::sleep(Duration::from_secs(1));
        Ok(ticks()? == before)
    })
}
