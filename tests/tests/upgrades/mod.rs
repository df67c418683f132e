// SPDX-License-Identifier: Apache-2.0
//! Another program takes PID 1's place by `kubermesh upgrade-init`, or does not and the old one goes on:
//! no child is lost, none is started twice, and it is told why.

mod workers;

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kubermesh_tests::stage::{Client, Running, Stage, node_program};
use rustix::fs::MemfdFlags;
use rustix::process::Signal;
use serde_json::json;
use tempfile::NamedTempFile;

use super::crashes::{Dice, crash_by, starts_written};
use super::{
    QUIET, RESTLESS, STAYS, all_are_heard, an_old_child_is_heard, at_rest, heard, quiet_ones,
    restart_one,
};

const UPGRADES: usize = 20;

/// The program as it ships, but for its version.
const OLD: &str = env!("CARGO_PKG_VERSION");

fn new() -> String {
    format!("{}~", OLD.get(..OLD.len() - 1).unwrap_or_default())
}

fn executable(bytes: &[u8]) -> Result<NamedTempFile> {
    let mut file = NamedTempFile::new()?;
    file.write_all(bytes)?;
    std::fs::set_permissions(file.path(), PermissionsExt::from_mode(0o755))?;
    Ok(file)
}

/// PID 1 of the next version: the one that ships, with another version's name in it.
fn new_init() -> Result<NamedTempFile> {
    let mut bytes = std::fs::read(node_program("init")?)?;
    let places: Vec<usize> = (0..bytes.len() - OLD.len())
        .filter(|at| bytes[*at..].starts_with(OLD.as_bytes()))
        .collect();
    ensure!(!places.is_empty(), "the program does not know its version");
    for at in places {
        bytes.splice(at..at + OLD.len(), new().into_bytes());
    }
    executable(&bytes)
}

/// A program that is no PID 1: an actor with a play of its own for the rehearsal.
fn player(words: &str) -> Result<NamedTempFile> {
    let mut bytes = std::fs::read(node_program("kubermesh-actor")?)?;
    bytes.extend_from_slice(format!("\nplay: {words}\n").as_bytes());
    executable(&bytes)
}

fn upgrade_to(stage: &Running, file: &str) -> Result<Output> {
    stage.exec(&["/usr/bin/kubermesh", "upgrade-init", file])
}

/// Exit code 0 and the new version.
fn upgrade(stage: &Running) -> Result<()> {
    let output = upgrade_to(stage, "/new")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let wanted = format!("PID 1 is init {} now, its services live on\n", new());
    ensure!(said == wanted, "{output:?}\n{}", stage.kmsg().join("\n"));
    Ok(())
}

/// Exit code 1 and these words.
fn is_refused(stage: &Running, file: &str, words: &str) -> Result<()> {
    let output = upgrade_to(stage, file)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(said.contains(words), "{file}: {output:?}\n{}", stage.kmsg().join("\n"));
    ensure!(output.status.code() == Some(1), "{output:?}");
    Ok(())
}

fn version(stage: &Running) -> Result<String> {
    let status = stage.call("Status", &json!({}))?;
    Ok(status["version"].as_str().context("no version")?.to_owned())
}

fn a_stage(kernel: &str) -> Result<Stage> {
    let mut stage = Stage::new()?
        .kernel_command_line(kernel)
        .program(node_program("kubermesh")?, "/usr/bin/kubermesh")
        .service("heard-0", &heard(0))
        .service("heard-1", &heard(1));
    for number in 0..QUIET {
        stage = stage.service(&format!("quiet-{number}"), STAYS);
    }
    Ok(stage)
}

#[test]
fn twenty_upgrades_lose_no_child_start_none_twice_and_leak_nothing() -> Result<()> {
    let (mut dice, program) = (Dice::thrown(), new_init()?);
    let stage = a_stage("kubermesh.test kubermesh.crashes=1000000")?
        .program(program.path(), "/new")
        .service("restless", RESTLESS)
        .start_node()?;
    all_are_heard(&stage)?;
    let (quiet, descriptors) = (quiet_ones(&stage)?, at_rest(&stage)?);
    for _ in 0..UPGRADES {
        restart_one(&stage, dice.below(2))?;
        upgrade(&stage)?;
        ensure!(version(&stage)? == new());
    }
    all_are_heard(&stage)?;
    stage.wait_until("each upgrade to be told once", |stage| {
        let stays = stage.kmsg().iter().filter(|line| line.contains("stays PID 1")).count();
        ensure!(stays == UPGRADES, "{stays} of {UPGRADES} are");
        Ok(true)
    })?;
    stage.wait_until("as many descriptors as before the first upgrade", |stage| {
        Ok(stage.descriptors()? == descriptors)
    })?;
    // A crash later on executes what PID 1 is by then.
    crash_by(&stage, Signal::SEGV)?;
    all_are_heard(&stage)?;
    ensure!(version(&stage)? == new());
    ensure!(quiet_ones(&stage)? == quiet, "a quiet service has another process");
    ensure!(stage.read("/run/starts")?.lines().count() == QUIET, "a quiet service began again");
    for (name, starts) in starts_written(&stage)? {
        ensure!(starts.written == starts.counted, "{name} began {starts:?}");
    }
    ensure!(stage.call("Status", &json!({}))?["recoveries"] == 1);
    an_old_child_is_heard(&stage)
}

/// All goes on as before: `harm` was done to a node whose PID 1 shall become another program.
fn goes_on(kernel: &str, harm: impl FnOnce(&Running) -> Result<()>) -> Result<()> {
    let program = new_init()?;
    let stage = a_stage(kernel)?.program(program.path(), "/new").start_node()?;
    all_are_heard(&stage)?;
    let (quiet, descriptors) = (quiet_ones(&stage)?, at_rest(&stage)?);
    harm(&stage)?;
    ensure!(version(&stage)? == OLD, "it did not go back");
    // It hears ends and words as before.
    restart_one(&stage, 0)?;
    stage.wait_until("the second run", |stage| {
        let again = stage.service("heard-0")?;
        Ok(again.starts == 2 && again.state == "running")
    })?;
    stage.wait_until("as many descriptors as before", |stage| {
        Ok(stage.descriptors()? == descriptors)
    })?;
    ensure!(quiet_ones(&stage)? == quiet, "a quiet service has another process");
    ensure!(stage.read("/run/starts")?.lines().count() == QUIET, "a quiet service began again");
    ensure!(stage.call("Status", &json!({}))?["recoveries"] == 0);
    Ok(())
}

#[test]
fn an_init_that_panics_before_it_has_answered_gives_its_place_back() -> Result<()> {
    goes_on("kubermesh.test kubermesh.trial=panic", |stage| {
        is_refused(stage, "/new", "kubermesh: PID 1 is the program that it was: panic at ")?;
        let fault = &stage.call("Status", &json!({}))?["status"]["faults"];
        ensure!(fault.to_string().contains("no other init took over: panic at "), "{fault}");
        Ok(())
    })
}

#[test]
fn an_init_that_hangs_before_it_has_answered_gives_its_place_back_in_time() -> Result<()> {
    goes_on("kubermesh.test kubermesh.trial=hang", |stage| {
        let words = "kubermesh: PID 1 is the program that it was: it answered nobody in time\n";
        is_refused(stage, "/new", words)
    })
}

#[test]
fn an_init_that_faults_before_it_has_answered_gives_its_place_back() -> Result<()> {
    goes_on("kubermesh.test kubermesh.trial=hang", |stage| {
        let is_on_trial = |stage: &Running| -> Result<bool> {
            let line = std::fs::read_to_string(format!("/proc/{}/cmdline", stage.pid()))?;
            // It has its handlers when it says who it is.
            let said = stage.kmsg().iter().any(|line| line.contains(&format!("init {}", new())));
            Ok(line.contains("--take-over") && said)
        };
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| {
                let words = "kubermesh: PID 1 is the program that it was: SIGSEGV\n";
                is_refused(stage, "/new", words)
            });
            stage.wait_until("the new program", is_on_trial)?;
            stage.signal(1, Signal::SEGV)?;
            asking.join().unwrap()
        })
    })
}

/// Asks for an upgrade, which begins; the connection.
fn begin(stage: &Running) -> Result<Client> {
    let mut client = stage.client()?;
    let program = std::fs::read(node_program("init")?)?;
    let memory = rustix::fs::memfd_create("init", MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC)?;
    std::fs::File::from(memory.try_clone()?).write_all(&program)?;
    client.call_with("UpgradeInit", &json!({}), Some(memory.as_fd()))?;
    Ok(client)
}

/// What PID 1 was executed with.
fn is_executed_as(stage: &Running, word: &str) -> Result<bool> {
    Ok(std::fs::read_to_string(format!("/proc/{}/cmdline", stage.pid()))?.contains(word))
}

/// How long it did not sleep: on a core and waiting for one, the first two words of schedstat.
fn was_awake(stage: &Running) -> Result<Duration> {
    let text = std::fs::read_to_string(format!("/proc/{}/schedstat", stage.pid()))?;
    let mut words = text.split_whitespace().map(str::parse::<u64>);
    let (ran, waited) = (words.next().context("no word")??, words.next().context("one word")??);
    Ok(Duration::from_nanos(ran + waited))
}

#[test]
fn who_hangs_up_while_a_program_is_on_trial_does_not_keep_pid_1_from_its_sleep() -> Result<()> {
    goes_on("kubermesh.test", |stage| {
        drop(begin(stage)?);
        stage.wait_until("the new program", |stage| is_executed_as(stage, "--take-over"))?;
        let (before, began) = (was_awake(stage)?, Instant::now());
        stage.wait_until("the old program", |stage| is_executed_as(stage, "--go-back"))?;
        let (awake, passed) = (was_awake(stage)? - before, began.elapsed());
        println!(
            "PID 1 was awake {awake:.1?} of the {passed:.1?} of a trial in which nobody asked it"
        );
        ensure!(awake < passed / 2, "it was awake {awake:?} of {passed:?}");
        Ok(())
    })
}

#[test]
fn a_program_on_trial_is_not_given_up_for_a_third() -> Result<()> {
    let stage = a_stage("kubermesh.test")?.start_node()?;
    all_are_heard(&stage)?;
    let (quiet, descriptors) = (quiet_ones(&stage)?, at_rest(&stage)?);
    let first = begin(&stage)?;
    stage.wait_until("the new program", |stage| is_executed_as(stage, "--take-over"))?;
    let refused = begin(&stage).map(drop).unwrap_err().to_string();
    ensure!(refused.contains("this program is on trial itself"), "{refused}");
    // That was an answer.
    let stays = |stage: &Running| stage.kmsg().iter().any(|line| line.contains("stays PID 1"));
    stage.wait_until("it to stay", |stage| Ok(stays(stage)))?;
    drop(first);
    stage.wait_until("as many descriptors as before", |stage| {
        Ok(stage.descriptors()? == descriptors)
    })?;
    ensure!(quiet_ones(&stage)? == quiet, "a quiet service has another process");
    Ok(())
}

#[test]
fn a_program_that_does_not_rehearse_well_is_refused_and_pid_1_stays_what_it_is() -> Result<()> {
    let torn = std::fs::read(node_program("init")?)?;
    let cases = [
        ("ends", player("exit 0")?, "its rehearsal ended without a word"),
        ("aborts", player("abort")?, "its rehearsal ended without a word"),
        ("foreign", player("say no-such-form exit 0")?, "its rehearsal ended so: no-such-form"),
        ("hangs", player("stay")?, "its rehearsal took longer than 10s"),
        (
            "torn",
            executable(torn.get(..8192).context("a small program")?)?,
            "another init is refused: ",
        ),
        ("text", executable(b"#!/actor\n")?, "/text cannot become PID 1: it is no ELF program"),
        ("test", executable(&std::fs::read("/proc/self/exe")?)?, "it is not static"),
    ];
    goes_on("kubermesh.test", |stage| {
        for (name, file, words) in &cases {
            stage.inside(|root| {
                std::fs::copy(file.path(), root.join(name))?;
                Ok(())
            })?;
            is_refused(stage, &format!("/{name}"), words)?;
        }
        is_refused(stage, "/nowhere", "read /nowhere: No such file or directory")?;
        let bare = stage.call("UpgradeInit", &json!({})).unwrap_err().to_string();
        ensure!(bare.contains("another init is refused: no program came with the call"), "{bare}");
        let anybody = stage.client_as(1000)?.call("UpgradeInit", &json!({})).unwrap_err();
        ensure!(anybody.to_string().contains("this is for root"), "{anybody}");
        Ok(())
    })
}

#[test]
fn a_record_of_another_form_is_not_understood_in_a_rehearsal() -> Result<()> {
    let rehearse = |record: NamedTempFile| -> Result<(Option<i32>, String)> {
        let mut command = Command::new(node_program("init")?);
        let command = command.arg("--rehearse").stdin(Stdio::from(record.reopen()?));
        let output = command.output()?;
        Ok((output.status.code(), String::from_utf8(output.stderr)?))
    };
    let damaged = "the record of PID 1's last life is damaged".to_owned();
    assert_eq!(rehearse(NamedTempFile::new()?)?, (Some(1), damaged));
    let record = NamedTempFile::new()?;
    // The first word of the slot behind the first 64 MiB, and the six after it.
    let head = [1_u64, 2, 0, 0, 0, 0, 0].map(u64::to_ne_bytes).concat();
    std::os::unix::fs::FileExt::write_all_at(record.as_file(), &head, 64 << 20)?;
    let foreign = "the record of PID 1's last life has form 1, understood is 2".to_owned();
    assert_eq!(rehearse(record)?, (Some(1), foreign));
    Ok(())
}
