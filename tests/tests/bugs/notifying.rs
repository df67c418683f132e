// SPDX-License-Identifier: Apache-2.0
//! Readiness by sd_notify(3): who says it is known, also when he is gone, and nobody else counts.

use anyhow::{Context, Result};
use kubermesh_tests::stage::{Ended, Stage, patience};
use rustix::process::Signal;
use serde_json::json;

use super::{NOTIFIES, plays};

#[test]
fn no_pid_that_a_service_names_takes_the_place_of_its_main_process() -> Result<()> {
    let says = "notify MAINPID=0 notify MAINPID=1 notify MAINPID=999999 notify-file /run/words notify READY=1 stay";
    let mut stage = Stage::new()?
        .service("other", &plays("notify READY=1 stay", NOTIFIES))
        .service("liar", &plays(&format!("await /run/words {says}"), NOTIFIES))
        .start_node()?;
    let other = stage.wait_state("other", "running")?;
    let foreign = format!("MAINPID={}\n", other.pid.context("no process")?);
    stage.write("/run/words", &foreign)?;
    let liar = stage.wait_state("liar", "running")?;
    assert!(liar.pid.is_some_and(|pid| pid > 1) && liar.pid != other.pid, "{liar:?}");
    stage.call("Restart", &json!({"service": "liar"}))?;
    stage.wait_until("a second run", |stage| {
        let now = stage.service("liar")?;
        Ok(now.state == "running" && now.starts == 2)
    })?;
    assert_eq!((stage.service("other")?.pid, stage.service("other")?.starts), (other.pid, 1));
    stage.call("Reboot", &json!({}))?;
    assert_eq!(stage.ended(patience())?, Ended::Restart);
    Ok(())
}

#[test]
fn nobody_outside_a_service_speaks_for_it() -> Result<()> {
    let stage = Stage::new()?
        .service("waits", &plays("await /run/go notify READY=1 stay", NOTIFIES))
        .service("liar", &plays("notify READY=1 write /run/said x stay", ""))
        .start_node()?;
    stage.wait_until("the lie", |stage| Ok(stage.path("/run/said").exists()))?;
    // PID 1 has taken it by the time that it answers.
    assert_eq!(stage.service("waits")?.state, "starting");
    stage.write("/run/go", "")?;
    stage.wait_state("waits", "running").map(drop)
}

#[test]
fn a_word_of_a_process_that_is_already_gone_is_not_lost() -> Result<()> {
    // The one between is gone, so who speaks is an orphan: PID 1 hears of its word and its end at once.
    // Another orphan has ended before, so that it is the signal which is heard first.
    let before = "await /run/before start 1 { start 1 { write /run/over x } }";
    let says = "await /run/go start 1 { start 1 { notify READY=1 write /run/said x } } stay";
    let plan = plays(&format!("{before} {says}"), NOTIFIES);
    let stage = Stage::new()?.service("forks", &plan).start_node()?;
    stage.wait_state("forks", "starting")?;
    stage.signal(1, Signal::STOP)?;
    stage.write("/run/before", "")?;
    let over = stage.path("/run/over");
    stage.wait_until("the end of another", |stage| {
        Ok(over.exists() && stage.processes()?.len() == 2)
    })?;
    stage.write("/run/go", "")?;
    let said = stage.path("/run/said");
    stage.wait_until("the word", |_| Ok(said.exists()))?;
    stage.wait_until("its end", |stage| Ok(stage.processes()?.len() == 2))?;
    stage.signal(1, Signal::CONT)?;
    stage.wait_state("forks", "running").map(drop)
}
