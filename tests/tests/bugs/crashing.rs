// SPDX-License-Identifier: Apache-2.0
//! A crash of PID 1 or of a worker costs the machine nothing, and many of them no more than a restart.

use anyhow::{Context, Result};
use kubermesh_tests::stage::{Ended, Running, Stage, node_program, patience};
use rustix::process::Signal;
use serde_json::json;

use super::{NOTIFIES, plays};

fn recoveries(stage: &Running) -> Result<u64> {
    stage.call("Status", &json!({}))?["recoveries"].as_u64().context("no count")
}

fn crash(stage: &Running) {
    // It never answers: it executes itself again.
    let _ = stage
        .client()
        .and_then(|mut client| client.call("org.kubermesh.Node.Crash", &json!({"how": "panic"})));
}

#[test]
fn a_crash_of_pid_1_is_no_kernel_panic_and_ends_no_service() -> Result<()> {
    let stage = Stage::new()?.service("good", &plays("stay", "")).start_node()?;
    let before = stage.wait_state("good", "running")?;
    crash(&stage);
    stage.wait_until("the first recovery", |stage| Ok(recoveries(stage)? == 1))?;
    stage.signal(1, Signal::SEGV)?;
    stage.wait_until("the second recovery", |stage| Ok(recoveries(stage)? == 2))?;
    assert_eq!((stage.service("good")?.pid, stage.service("good")?.starts), (before.pid, 1));
    // And it still hears of ends.
    stage.signal(before.pid.context("no process")?, Signal::KILL)?;
    stage.wait_until("a second run", |stage| Ok(stage.service("good")?.starts == 2))
}

#[test]
fn a_worker_that_dies_takes_nobody_along() -> Result<()> {
    const WORKERS: [&str; 3] = ["light", "probe", "log"];
    let mut stage = Stage::new()?
        .program(node_program("kubermesh")?, "/usr/bin/kubermesh")
        .service("good", &plays("stay", ""));
    for name in WORKERS {
        let command = format!("command = [\"/usr/bin/kubermesh\", \"{name}\"]\nworker = true\n");
        stage = stage.service(name, &format!("{command}{NOTIFIES}"));
    }
    let stage = stage.start_node()?;
    stage.wait_state("good", "running")?;
    for name in WORKERS {
        let first = stage.wait_state(name, "running")?;
        stage.signal(first.pid.context("no process")?, Signal::KILL)?;
        stage.wait_until("its second run", |stage| {
            let now = stage.service(name)?;
            Ok(now.state == "running" && now.starts == 2)
        })?;
    }
    for (name, service) in stage.services()? {
        assert_eq!(service.starts, if name == "good" { 1 } else { 2 }, "{name}");
    }
    assert_eq!(recoveries(&stage)?, 0);
    Ok(())
}

#[test]
fn pid_1_that_crashes_again_and_again_neither_freezes_nor_goes_on_for_ever() -> Result<()> {
    let mut stage = Stage::new()?.service("good", &plays("stay", "")).start_node()?;
    stage.wait_state("good", "running")?;
    for number in 1..=3 {
        crash(&stage);
        stage.wait_until("the next recovery", |stage| Ok(recoveries(stage)? == number))?;
    }
    crash(&stage);
    assert_eq!(stage.ended(patience())?, Ended::Restart);
    let said = stage.kmsg().join("\n");
    assert!(said.contains("status=failed PID 1 cannot go on: more than 3 crashes"), "{said}");
    Ok(())
}
