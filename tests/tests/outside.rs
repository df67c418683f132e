// SPDX-License-Identifier: Apache-2.0
//! What comes over PID 1 from outside in numbers that nobody would send on purpose. docs/faults.md lists the rest.

#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may stop where it stands"
)]

use std::io::{ErrorKind, Write};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use kubermesh_tests::stage::{Running, Stage};
use rustix::process::Signal;
use serde_json::json;

const STAYS: &str = "command = [\"/actor\", \"stay\"]";

#[test]
fn a_hundred_thousand_uevents_keep_nobody_waiting_and_hide_no_end() -> Result<()> {
    let stage = Stage::new()?.service("good", STAYS).start_node()?;
    let first = stage.wait_state("good", "running")?.pid.context("no process")?;
    let before = memory(&stage)?;
    let (storm, answers) = std::thread::scope(|scope| -> Result<_> {
        let storm = scope.spawn(|| {
            stage.inside(|root| {
                for _ in 0..100_000 {
                    std::fs::write(root.join("sys/class/net/lo/uevent"), "change")?;
                }
                Ok(())
            })
        });
        let mut answers = Vec::new();
        while !storm.is_finished() {
            let began = Instant::now();
            stage.call("Status", &json!({}))?;
            answers.push(began.elapsed());
        }
        Ok((storm.join().map_err(|_| anyhow::anyhow!("the storm broke off"))?, answers))
    })?;
    storm?;
    println!("{} answers meanwhile, the slowest after {:?}", answers.len(), answers.iter().max());
    stage.signal(first, Signal::KILL)?;
    stage.wait_until("a second run", |stage| {
        let now = stage.service("good")?;
        Ok(now.state == "running" && now.pid != Some(first))
    })?;
    let grown = memory(&stage)?.saturating_sub(before);
    ensure!(grown < 1024, "PID 1 grew by {grown} KiB");
    ensure!(stage.call("Status", &json!({}))?["recoveries"] == 0);
    Ok(())
}

#[test]
fn a_client_that_asks_and_never_reads_costs_nobody_an_answer_and_no_memory() -> Result<()> {
    let stage = Stage::new()?.service("good", STAYS).start_node()?;
    stage.wait_state("good", "running")?;
    let before = memory(&stage)?;
    let question = b"{\"method\":\"org.kubermesh.Node.Services\"}\0".repeat(256);
    let mut silent = stage.client_as(0)?;
    silent.socket().set_nonblocking(true)?;
    // It is hung up on, or no longer listened to: either is well.
    let gone = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
    let (mut asked, mut refused) = (0, 0);
    while refused < 100 {
        match silent.socket().write(&question) {
            Ok(bytes) => asked += bytes,
            Err(error) if error.kind() == ErrorKind::WouldBlock => refused += 1,
            Err(error) if gone.contains(&error.kind()) => break,
            Err(error) => bail!("it hears {error}"),
        }
        ensure!(asked < 64 << 20, "it may ask for ever");
        stage.call("Status", &json!({}))?;
    }
    println!("{asked} bytes of questions were taken");
    let grown = memory(&stage)?.saturating_sub(before);
    ensure!(grown < 1024, "PID 1 grew by {grown} KiB");
    Ok(())
}

/// What PID 1 holds in memory, KiB.
fn memory(stage: &Running) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{}/status", stage.pid()))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
