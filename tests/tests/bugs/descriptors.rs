// SPDX-License-Identifier: Apache-2.0
//! Descriptors: none is left behind, and one that hung up keeps nobody busy.

use std::net::Shutdown;
use std::time::Duration;

use anyhow::{Context, Result};
use kubermesh_tests::stage::{Running, Stage};
use serde_json::json;

use super::{NOTIFIES, plays};

#[test]
fn neither_a_run_nor_a_call_leaves_a_descriptor_behind() -> Result<()> {
    const RUNS: u64 = 30;
    let stage = Stage::new()?
        .service("one", &plays("notify READY=1 stay", NOTIFIES))
        .service("two", &plays("newline stay", "[ready]\nnewline = true\n"))
        .service("flaps", &plays("exit 1", "[restart]\nrests = [\"0s\"]\n"))
        .service("absent", "command = [\"/no/such/program\"]\n[restart]\nrests = [\"0s\"]\n")
        .start_node()?;
    let run = |number: u64| {
        stage.wait_until("the next run", |stage| {
            let all = stage.services()?;
            let flapped = all["flaps"].starts > 10 * number && all["absent"].starts > 10 * number;
            let is_up = |name: &str| all[name].state == "running" && all[name].starts >= number;
            Ok(flapped && is_up("one") && is_up("two"))
        })
    };
    run(1)?;
    let mut client = stage.client()?;
    let before = stage.descriptors()?;
    for number in 2..=RUNS {
        for name in ["one", "two"] {
            client.call("Restart", &json!({"service": name}))?;
        }
        run(number)?;
        drop(stage.client_as(0)?);
    }
    // Those of the flapping ones come and go: a few more or less at any moment.
    stage
        .wait_until("as many descriptors as before", |stage| Ok(stage.descriptors()? <= before + 3))
}

/// Ticks of a core that PID 1 has used, 10 ms each: fields 14 and 15 of /proc/…/stat.
fn ticks(stage: &Running) -> Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", stage.pid()))?;
    let fields = stat.rsplit_once(')').context("no name")?.1.split_whitespace();
    fields.skip(11).take(2).map(|field| Ok(field.parse::<u64>()?)).sum()
}

#[test]
fn a_descriptor_that_hung_up_keeps_no_core_busy() -> Result<()> {
    let closes = "start 1 { setsid stay } stay";
    let stage = Stage::new()?
        .service("worker", &plays(closes, "worker = true"))
        .service("newline", &plays("start 1 { stay } newline stay", "[ready]\nnewline = true\n"))
        .start_node()?;
    stage.wait_state("newline", "running")?;
    let mut clients = Vec::new();
    for how in [Shutdown::Write, Shutdown::Both, Shutdown::Read] {
        let mut client = stage.client_as(0)?;
        client.socket().shutdown(how)?;
        clients.push(client);
    }
    // One more that is answered: PID 1 has heard of the others by then.
    stage.services()?;
    let before = ticks(&stage)?;
    // The measure is of time itself.
    std::thread::sleep(Duration::from_secs(1));
    let used = ticks(&stage)? - before;
    assert!(used < 20, "PID 1 used {used} of 100 ticks for nothing");
    Ok(())
}
