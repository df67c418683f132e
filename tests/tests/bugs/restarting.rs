// SPDX-License-Identifier: Apache-2.0
//! Wishes and rests: none is lost, none is cut short; and a file that changes meanwhile changes nothing.

use std::io::Write;

use anyhow::{Context, Result, ensure};
use kubermesh_tests::stage::{Running, Stage, patience};
use rustix::process::Signal;
use serde_json::json;

use super::{NOTIFIES, plays};

fn restart(stage: &Running, name: &str) -> Result<()> {
    stage.call("Restart", &json!({"service": name})).map(drop)
}

#[test]
fn no_wish_is_lost_however_quickly_they_come() -> Result<()> {
    let stage = Stage::new()?.service("good", &plays("stay", "")).start_node()?;
    stage.wait_state("good", "running")?;
    let mut client = stage.client()?;
    let method = "org.kubermesh.Node.Restart";
    let wish = format!("{}\0", json!({"method": method, "parameters": {"service": "good"}}));
    client.socket().write_all(wish.repeat(50).as_bytes())?;
    for _ in 0..50 {
        let answer = client.receive()?;
        ensure!(answer["error"].is_null(), "{answer}");
    }
    stage.wait_until("it to run again", |stage| {
        let now = stage.service("good")?;
        Ok(now.state == "running" && now.starts > 1)
    })?;
    // And from outside, in the same breath.
    let now = stage.service("good")?;
    stage.signal(now.pid.context("no process")?, Signal::KILL)?;
    client.call("Restart", &json!({"service": "good"}))?;
    stage.wait_until("it to run once more", |stage| {
        let later = stage.service("good")?;
        Ok(later.state == "running" && later.pid != now.pid && later.failures <= 1)
    })
}

#[test]
fn no_wish_is_lost_that_comes_while_a_run_is_starting() -> Result<()> {
    let never_up = plays("await /run/never stay", NOTIFIES);
    let stage = Stage::new()?.service("slow", &never_up).start_node()?;
    stage.wait_state("slow", "starting")?;
    let mut client = stage.client()?;
    let starting = |stage: &Running, starts| {
        let now = stage.service("slow")?;
        Ok(now.state == "starting" && now.starts == starts)
    };
    for number in 1..=50 {
        stage.wait_until("the next run", |stage| starting(stage, number))?;
        client.call("Restart", &json!({"service": "slow"}))?;
    }
    stage.wait_until("a run after the last wish", |stage| starting(stage, 51))
}

#[test]
fn a_restart_that_comes_while_it_rests_or_waits_fails_nobody() -> Result<()> {
    let rests = "[restart]\nrests = [\"1h\"]\n";
    let stage = Stage::new()?
        .service("rests", &plays("stamp /run/stamps exit 3", rests))
        .service("gate", &plays("await /run/go notify READY=1 stay", NOTIFIES))
        .service("waits", &plays("stay", "after = [\"gate\"]"))
        .start_node()?;
    for number in 1..=3 {
        stage.wait_until("the next run to have ended", |stage| {
            let now = stage.service("rests")?;
            Ok(now.state == "resting" && now.starts == number)
        })?;
        restart(&stage, "rests")?;
    }
    // What waits for another is told why; and it runs when that is there.
    let refusal = restart(&stage, "waits").err().context("it was taken")?;
    assert!(format!("{refusal:#}").contains("gate"), "{refusal:#}");
    stage.write("/run/go", "")?;
    stage.wait_state("waits", "running").map(drop)
}

#[test]
fn no_rest_is_cut_short() -> Result<()> {
    let rests = "[restart]\nrests = [\"300ms\", \"600ms\"]\n";
    let stage =
        Stage::new()?.service("fails", &plays("stamp /run/stamps exit 1", rests)).start_node()?;
    stage.wait_until("the fourth run", |stage| Ok(stage.service("fails")?.starts >= 4))?;
    stage.wait_until("its stamp", |stage| Ok(stage.read("/run/stamps")?.lines().count() >= 4))?;
    let stamps = stage.read("/run/stamps")?;
    let moments = stamps.lines().filter_map(|line| line.split(' ').next()?.parse::<u64>().ok());
    let moments: Vec<u64> = moments.map(|nanoseconds| nanoseconds / 1_000_000).collect();
    let apart: Vec<u64> = moments.windows(2).map(|two| two[1] - two[0]).collect();
    // A busy machine makes them longer. PID 1's clock counts whole milliseconds.
    assert!(apart[0] >= 299 && apart[1] >= 599 && apart[2] >= 599, "{apart:?}");
    Ok(())
}

const SERVICES: &str = "/usr/lib/kubermesh/services";

#[test]
fn a_service_file_that_changes_or_goes_hurts_nobody_who_runs() -> Result<()> {
    let stage = Stage::new()?
        .service("changed", &plays("stay", ""))
        .service("gone", &plays("stay", ""))
        .start_node()?;
    for name in ["changed", "gone"] {
        stage.wait_state(name, "running")?;
    }
    stage.write(&format!("{SERVICES}/changed.toml"), "command = [\"/nonsense\"]")?;
    std::fs::remove_file(stage.path(&format!("{SERVICES}/gone.toml")))?;
    for name in ["changed", "gone"] {
        restart(&stage, name)?;
        stage.wait_until("its second run", |stage| {
            let now = stage.service(name)?;
            Ok(now.state == "running" && now.starts == 2)
        })?;
    }
    Ok(())
}

#[test]
fn services_that_wait_for_each_other_in_a_circle_are_told_and_hold_up_nobody() -> Result<()> {
    let stage = Stage::new()?
        .service("hen", &plays("stay", "after = [\"egg\"]"))
        .service("egg", &plays("stay", "after = [\"hen\"]"))
        .service("good", &plays("stay", ""))
        .start_node()?;
    stage.wait_state("good", "running")?;
    let status = stage.call("Status", &json!({}))?.to_string();
    assert!(status.contains("services wait for each other in a circle: egg after hen after egg"));
    stage.wait_line("status=", patience()).map(drop)
}
