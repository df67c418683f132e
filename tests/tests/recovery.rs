// SPDX-License-Identifier: Apache-2.0
//! PID 1 crashes, as it ships, a thousand times in a row and in its worst moments: it goes on
//! supervising, or the machine starts again in order and says why.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may stop where it stands"
)]

mod crashes;
mod upgrades;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use crashes::{Dice, Record, SOON, crash_by, starts_written};
use kubermesh_tests::stage::{Ended, Running, Stage};
use rustix::process::Signal;
use serde_json::json;

const CRASHES: usize = 1000;
/// Services that say when they are up, and are killed once they were heard.
const HEARD: usize = 8;
/// Services that nobody touches.
const QUIET: usize = 4;

const STAYS: &str = r#"command = ["/actor", "stamp", "/run/starts", "stay"]"#;

/// Ends at once, and leaves orphans behind.
const RESTLESS: &str = r#"
command = ["/actor", "stamp", "/run/restless", "start", "4", "{", "exit", "0", "}", "exit", "1"]
[restart]
rests = ["40ms"]
"#;

fn heard(number: usize) -> String {
    let (key, word) = if number.is_multiple_of(2) {
        ("notify", r#""notify", "READY=1""#)
    } else {
        ("newline", r#""newline""#)
    };
    format!(
        r#"
command = ["/actor", "stamp", "/run/heard-{number}", {word}, "stay"]
[ready]
{key} = true
within = "10min"
[restart]
rests = ["0s"]
"#
    )
}

#[test]
fn a_thousand_crashes_lose_no_child_start_none_twice_and_leak_nothing() -> Result<()> {
    let mut dice = Dice::thrown();
    let mut stage = Stage::new()?
        .kernel_command_line("kubermesh.test kubermesh.crashes=1000000")
        .service("restless", RESTLESS);
    for number in 0..HEARD {
        stage = stage.service(&format!("heard-{number}"), &heard(number));
    }
    for number in 0..QUIET {
        stage = stage.service(&format!("quiet-{number}"), STAYS);
    }
    let stage = stage.start_node()?;
    all_are_heard(&stage)?;
    crash_by(&stage, Signal::SEGV)?;
    let quiet = quiet_ones(&stage)?;
    let descriptors = at_rest(&stage)?;

    let began = Instant::now();
    let mut until_answered = Vec::new();
    for number in 1..CRASHES {
        restart_one(&stage, dice.below(HEARD))?;
        std::thread::sleep(Duration::from_micros(dice.below(8000) as u64));
        let crashed = Instant::now();
        if number.is_multiple_of(2) {
            stage.signal(1, Signal::SEGV)?;
        } else {
            // The client sees the connection end: that is the answer.
            let answer = stage.call("Crash", &json!({"how": "panic"}));
            ensure!(answer.is_err(), "PID 1 does not crash: {answer:?}");
        }
        wait_for_answer(&stage)?;
        until_answered.push(crashed.elapsed());
    }
    let took = began.elapsed();
    until_answered.sort();
    println!(
        "{CRASHES} crashes in {took:?}; from crash to the next answer: median {:?}, p99 {:?}, longest {:?}",
        until_answered[CRASHES / 2],
        until_answered[CRASHES * 99 / 100],
        until_answered[CRASHES - 2],
    );

    all_are_heard(&stage)?;
    ensure!(quiet_ones(&stage)? == quiet, "a quiet service has another process");
    ensure!(stage.read("/run/starts")?.lines().count() == QUIET, "a quiet service began again");
    let status = stage.call("Status", &json!({}))?;
    ensure!(status["recoveries"] == CRASHES, "{} recoveries", status["recoveries"]);
    for (name, starts) in starts_written(&stage)? {
        ensure!(starts.written == starts.counted, "{name} began {starts:?}");
    }
    stage.wait_until("as many descriptors as after the first crash", |stage| {
        Ok(stage.descriptors()? == descriptors)
    })?;
    for line in stage.kmsg() {
        ensure!(!line.contains("crashed while it was being started"), "{line}");
        ensure!(!line.contains("exit status -1"), "lost an end: {line}");
    }
    an_old_child_is_heard(&stage)
}

/// The end of one that an earlier life has begun, and nobody touched.
fn an_old_child_is_heard(stage: &Running) -> Result<()> {
    stage.signal(stage.service("quiet-0")?.pid.context("no process")?, Signal::KILL)?;
    stage.wait_until("its second run", |stage| {
        let again = stage.service("quiet-0")?;
        Ok(again.starts == 2 && again.state == "running")
    })
}

/// Each says that it is up only once in a run: a word that is lost is waited for in vain.
fn all_are_heard(stage: &Running) -> Result<()> {
    stage.wait_until("each service to be heard", |stage| {
        let services = stage.services()?;
        Ok(services.iter().all(|(name, one)| name == "restless" || one.state == "running"))
    })
}

/// How many descriptors PID 1 has when nobody asks and nobody is being started.
fn at_rest(stage: &Running) -> Result<usize> {
    let mut fewest = stage.descriptors()?;
    for _ in 0..100 {
        std::thread::sleep(Duration::from_millis(5));
        fewest = fewest.min(stage.descriptors()?);
    }
    Ok(fewest)
}

/// Kills one that was heard.
fn restart_one(stage: &Running, number: usize) -> Result<()> {
    let service = stage.service(&format!("heard-{number}"))?;
    if let Some(pid) = service.pid.filter(|_| service.state == "running") {
        // It may have ended by the last kill, and PID 1 not have looked.
        drop(stage.signal(pid, Signal::KILL));
    }
    Ok(())
}

fn wait_for_answer(stage: &Running) -> Result<()> {
    let deadline = Instant::now() + SOON;
    loop {
        let answer = stage.call("Status", &json!({}));
        if answer.is_ok() {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{answer:?}\n{}", stage.kmsg().join("\n"));
    }
}

/// Pid and start time of each that nobody touches.
fn quiet_ones(stage: &Running) -> Result<BTreeMap<String, (u32, u64)>> {
    let mut all = BTreeMap::new();
    for (name, service) in stage.services()? {
        if name.starts_with("quiet") {
            let pid = service.pid.with_context(|| format!("{name} has no process"))?;
            all.insert(name, (pid, crashes::start_time(stage.pid_here(pid)?)?));
        }
    }
    ensure!(all.len() == QUIET, "{all:?}");
    Ok(all)
}

fn small_stage(kernel: &str) -> Result<Running> {
    let stage = Stage::new()?
        .kernel_command_line(kernel)
        .service("quiet-0", STAYS)
        .service("heard-0", &heard(0))
        .start_node()?;
    all_are_heard(&stage)?;
    Ok(stage)
}

#[test]
fn the_fourth_crash_within_a_minute_starts_the_machine_again() -> Result<()> {
    let mut stage = small_stage("kubermesh.test")?;
    for _ in 0..3 {
        crash_by(&stage, Signal::SEGV)?;
    }
    stage.signal(1, Signal::BUS)?;
    let words = "PID 1 cannot go on: more than 3 crashes within 1min, the last by SIGBUS; the machine starts again";
    stage.wait_line(words, SOON)?;
    assert_eq!(stage.ended(SOON)?, Ended::Restart);
    Ok(())
}

#[test]
fn a_crash_in_the_middle_of_a_crash_is_one_more_crash() -> Result<()> {
    let stage = small_stage("kubermesh.test kubermesh.crashes=1000000")?;
    let before = stage.service("quiet-0")?;
    for _ in 0..20 {
        for signal in [Signal::SEGV, Signal::BUS, Signal::ILL, Signal::FPE, Signal::ABORT] {
            stage.signal(1, signal)?;
        }
        wait_for_answer(&stage)?;
    }
    assert_eq!(stage.service("quiet-0")?, before);
    // Some lives had more than one of them.
    let recoveries =
        stage.call("Status", &json!({}))?["recoveries"].as_u64().context("no number")?;
    assert!((20..100).contains(&recoveries), "{recoveries} recoveries from 100 faults");
    Ok(())
}

/// A fault of its own making, with no stack left to handle it on.
#[test]
fn a_stack_without_end_is_one_more_crash() -> Result<()> {
    let stage = small_stage("kubermesh.test")?;
    let before = stage.service("quiet-0")?;
    let answer = stage.call("Crash", &json!({"how": "overflow"}));
    ensure!(answer.is_err(), "PID 1 does not crash: {answer:?}");
    wait_for_answer(&stage)?;
    assert_eq!(stage.service("quiet-0")?, before);
    assert_eq!(stage.call("Status", &json!({}))?["recoveries"], 1);
    stage.wait_line("recovered from SIGSEGV", SOON)?;
    Ok(())
}

#[test]
fn the_ninth_fault_while_pid_1_executes_itself_starts_the_machine_again() -> Result<()> {
    // It tries for a second, and on a busy machine the ninth may come later.
    for _ in 0..5 {
        let mut stage = small_stage("kubermesh.test")?;
        let program = stage.path("/usr/lib/kubermesh/init");
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        let words = "PID 1 crashes while it executes itself again; the machine starts again";
        let says = |stage: &Running| stage.kmsg().iter().any(|line| line.contains(words));
        let faults = [Signal::SEGV, Signal::BUS, Signal::ILL, Signal::FPE, Signal::ABORT];
        for signal in faults.repeat(4) {
            if says(&stage) || stage.signal(1, signal).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(stage.ended(SOON)?, Ended::Restart);
        if says(&stage) {
            return Ok(());
        }
    }
    bail!("five times, and never a ninth fault in its second")
}

#[test]
fn a_pid_1_that_cannot_execute_itself_says_so_and_starts_the_machine_again() -> Result<()> {
    let mut stage = small_stage("kubermesh.test")?;
    let program = stage.path("/usr/lib/kubermesh/init");
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    stage.signal(1, Signal::SEGV)?;
    stage.wait_line("PID 1 cannot execute itself again; the machine starts again", SOON)?;
    assert_eq!(stage.ended(SOON)?, Ended::Restart);
    Ok(())
}

#[test]
fn one_damaged_slot_of_the_record_loses_no_child() -> Result<()> {
    let stage = small_stage("kubermesh.test")?;
    let before = stage.services()?;
    // So that both slots have been written.
    crash_by(&stage, Signal::SEGV)?;
    let record = Record::of(&stage)?;
    record.damage(record.newest()?)?;
    crash_by(&stage, Signal::SEGV)?;
    let after = stage.services()?;
    for name in ["quiet-0", "heard-0"] {
        assert_eq!((after[name].pid, after[name].starts), (before[name].pid, before[name].starts));
    }
    Ok(())
}

#[test]
fn a_record_that_is_damaged_or_of_another_time_starts_the_machine_again_in_order() -> Result<()> {
    let why = |words: &str, harm: &dyn Fn(&Record) -> Result<()>| -> Result<()> {
        let mut stage = small_stage("kubermesh.test")?;
        crash_by(&stage, Signal::SEGV)?;
        harm(&Record::of(&stage)?)?;
        stage.signal(1, Signal::SEGV)?;
        stage.wait_line(&format!("status=failed PID 1 cannot go on: {words}"), SOON)?;
        ensure!(stage.ended(SOON)? == Ended::Restart, "it does not start again");
        Ok(())
    };
    why("the record of PID 1's last life is damaged; ", &|record| {
        record.damage(0)?;
        record.damage(1)
    })?;
    why("the record of PID 1's last life has form 1, understood is 2; ", &|record| {
        record.put_form(0, 1)?;
        record.put_form(1, 1)
    })?;
    why("the record of PID 1's last life is of another version: missing field `facts`", &|record| {
        record.put_node(0, br#"{"services":{}}"#)?;
        record.put_node(1, br#"{"services":{}}"#)
    })
}

#[test]
fn a_full_run_changes_nothing() -> Result<()> {
    let stage = small_stage("kubermesh.test kubermesh.crashes=1000000")?;
    let before = stage.service("quiet-0")?;
    crashes::fill_run(&stage)?;
    ensure!(std::fs::write(stage.path("/run/more"), "x").is_err(), "/run is not full");
    for _ in 0..5 {
        let heard = stage.service("heard-0")?;
        stage.signal(heard.pid.context("no process")?, Signal::KILL)?;
        crash_by(&stage, Signal::SEGV)?;
        stage.wait_until("a new run", |stage| {
            let now = stage.service("heard-0")?;
            Ok(now.starts == heard.starts + 1 && now.pid.is_some())
        })?;
    }
    assert_eq!(stage.service("quiet-0")?, before);
    Ok(())
}
