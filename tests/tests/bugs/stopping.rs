// SPDX-License-Identifier: Apache-2.0
//! How services end: all that is theirs, nobody else, and in time.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use kubermesh_tests::stage::{Ended, Running, Stage, patience};
use serde_json::json;

use super::{NOTIFIES, plays};

/// How many processes lie in the cgroup of a service.
fn group(stage: &Running, name: &str) -> Result<Vec<String>> {
    let procs =
        std::fs::read_to_string(stage.cgroup().join("system").join(name).join("cgroup.procs"));
    Ok(procs.context("it has no cgroup")?.lines().map(str::to_owned).collect())
}

fn restart(stage: &Running, name: &str) -> Result<()> {
    stage.call("Restart", &json!({"service": name})).map(drop)
}

fn wait_run(stage: &Running, name: &str, number: u64) -> Result<()> {
    stage.wait_until(&format!("run {number} of {name}"), |stage| {
        let now = stage.service(name)?;
        Ok(now.state == "running" && now.starts == number)
    })
}

/// A child of a child, in a session of its own, that hears no signal.
const ESCAPES: &str = "start 1 { setsid start 1 { deaf write /run/escaped x stay } } await /run/escaped notify READY=1 stay";

#[test]
fn no_grandchild_outlives_its_service() -> Result<()> {
    let stage = Stage::new()?.service("forks", &plays(ESCAPES, NOTIFIES)).start_node()?;
    stage.wait_state("forks", "running")?;
    let before = group(&stage, "forks")?;
    // The main process, the one between (a zombie is not listed) and the escaped one.
    assert!(before.len() >= 2, "{before:?}");
    restart(&stage, "forks")?;
    wait_run(&stage, "forks", 2)?;
    let after = group(&stage, "forks")?;
    assert!(before.iter().all(|pid| !after.contains(pid)), "{before:?} and then {after:?}");
    Ok(())
}

#[test]
fn who_asks_for_a_restart_is_not_killed_by_it() -> Result<()> {
    let asks = r#"call Restart {\"service\":\"other\"} /run/answer stay"#;
    let itself =
        r#"start 1 { await /run/go call Restart {\"service\":\"own\"} /run/own stay } stay"#;
    let stage = Stage::new()?
        .service("other", &plays("notify READY=1 stay", NOTIFIES))
        .service("asks", &plays(asks, "after = [\"other\"]"))
        .service("own", &plays(itself, ""))
        .start_node()?;
    wait_run(&stage, "other", 2)?;
    stage
        .wait_until("the answer", |stage| Ok(stage.read("/run/answer")?.contains("parameters")))?;
    assert_eq!(stage.service("asks")?.starts, 1);
    // Who asks for his own is killed with it, and it is done all the same; each run asks again.
    stage.write("/run/go", "")?;
    stage.wait_until("own to be started again", |stage| Ok(stage.service("own")?.starts >= 3))?;
    assert_eq!(stage.service("asks")?.starts, 1, "somebody else's restart killed it");
    Ok(())
}

#[test]
fn a_cgroup_that_still_empties_holds_up_no_restart() -> Result<()> {
    let crowd = "start 300 { deaf stay } notify READY=1 stay";
    let stage = Stage::new()?.service("crowd", &plays(crowd, NOTIFIES)).start_node()?;
    wait_run(&stage, "crowd", 1)?;
    // Now and then all are gone before the next run begins.
    for number in 2..=10 {
        restart(&stage, "crowd")?;
        wait_run(&stage, "crowd", number)?;
    }
    // 300 of this run, its main process, and nobody of the runs before.
    stage.wait_until("the crowd", |stage| Ok(group(stage, "crowd")?.len() == 301))?;
    assert_eq!(stage.service("crowd")?.failures, 0);
    Ok(())
}

#[test]
fn a_shim_outlives_a_restart_and_holds_up_no_reboot() -> Result<()> {
    let shims = "start 2 { setsid deaf stay } notify READY=1 stay";
    let rest = format!("{NOTIFIES}[stop]\nkill = \"main\"\nwithin = \"2s\"\n");
    let mut stage = Stage::new()?.service("runtime", &plays(shims, &rest)).start_node()?;
    wait_run(&stage, "runtime", 1)?;
    let main = stage.service("runtime")?.pid.context("no process")?;
    let main = stage.pid_here(main)?.to_string();
    let mut shims = group(&stage, "runtime")?;
    shims.retain(|pid| *pid != main);
    assert_eq!(shims.len(), 2);
    restart(&stage, "runtime")?;
    wait_run(&stage, "runtime", 2)?;
    let after = group(&stage, "runtime")?;
    assert!(shims.iter().all(|pid| after.contains(pid)), "{shims:?} and then {after:?}");
    assert!(!after.contains(&main));
    stage.call("Reboot", &json!({}))?;
    assert_eq!(stage.ended(patience())?, Ended::Restart);
    Ok(())
}

#[test]
fn a_step_of_the_way_down_that_hangs_does_not_hold_it_up() -> Result<()> {
    let hangs = "kind = \"stop\"\n[stop]\nstage = 4\nwithin = \"1s\"\n";
    let deaf = "[ready]\nnotify = true\n[stop]\nstage = 1\nwithin = \"1s\"\n";
    let mut stage = Stage::new()?
        .service("unmount", &plays("deaf start 3 { deaf stay } stay", hangs))
        .service("deaf", &plays("deaf notify READY=1 stay", deaf))
        .start_node()?;
    wait_run(&stage, "deaf", 1)?;
    let began = Instant::now();
    stage.call("Reboot", &json!({}))?;
    assert_eq!(stage.ended(patience())?, Ended::Restart);
    assert!(began.elapsed() > Duration::from_secs(2), "nobody was given the time to end");
    Ok(())
}
