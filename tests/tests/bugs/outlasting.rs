// SPDX-License-Identifier: Apache-2.0
//! What others do as badly as they can: hang, spam, mount, eat, fork without end. PID 1 goes on.

use std::io::{Read, Write};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kubermesh_tests::stage::{Running, Stage, patience};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use rustix::process::Signal;
use serde_json::json;

use super::{NOTIFIES, WORK, plays};

const FLAPS: &str = "[restart]\nrests = [\"0s\"]\n";

/// A number that PID 1's /proc/…/status tells: `VmRSS` in KiB, `voluntary_ctxt_switches`.
fn own(stage: &Running, key: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", stage.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix(&format!("{key}:")));
    let word = line.and_then(|line| line.split_whitespace().next()).context("no such line")?;
    Ok(word.parse()?)
}

#[test]
fn a_worker_that_reads_nothing_holds_up_nobody() -> Result<()> {
    // The console hears of each change of the status; a hundred services that flap make thousands.
    let mut stage = Stage::new()?.service("console", &plays("stay", "worker = true"));
    for number in 0..10 {
        stage = stage.service(&format!("flaps{number}"), &plays("exit 1", FLAPS));
    }
    let stage = stage.start_node()?;
    stage.wait_for("a thousand runs", WORK * patience(), |stage| {
        Ok(stage.services()?.values().map(|one| one.starts).sum::<u64>() > 1000)
    })?;
    // It has no room for an order at last, and is started again.
    stage.wait_until("the console to be started again", |stage| {
        Ok(stage.service("console")?.starts >= 2)
    })
}

#[test]
fn no_service_blocks_on_output_that_nobody_reads() -> Result<()> {
    let task = "kind = \"task\"\n[ready]\nwithin = \"2min\"\n";
    let stage = Stage::new()?.service("spams", &plays("spam 200000", task)).start_node()?;
    stage.wait_state("spams", "done").map(drop)
}

#[test]
fn no_line_of_pid_1_is_swallowed() -> Result<()> {
    // By default the kernel takes ten lines of a writer in five seconds; the image says otherwise.
    let words = include_str!("../../../image/cmdline");
    assert!(words.lines().any(|row| row.starts_with("printk.devkmsg=on ")), "{words}");
    let mut stage = Stage::new()?;
    for number in 0..20 {
        stage = stage.service(&format!("flaps{number}"), &plays("exit 1", FLAPS));
    }
    let stage = stage.start_node()?;
    let runs = |stage: &Running| -> Result<u64> {
        Ok(stage.services()?.values().map(|one| one.starts).sum())
    };
    stage.wait_for("a thousand runs", WORK * patience(), |stage| Ok(runs(stage)? > 1020))?;
    // Who reads may lag behind; PID 1 says nothing more meanwhile.
    stage.signal(1, Signal::STOP)?;
    stage.wait_until("a thousand ends to be told", |stage| {
        let said = stage.kmsg();
        let ends = said.iter().filter(|line| line.ends_with(" ended: exit status 1"));
        Ok(ends.count() >= 1000)
    })
}

#[test]
fn a_grandchild_that_holds_the_output_hides_no_exit() -> Result<()> {
    let rest = "[stop]\nkill = \"main\"\n[restart]\nrests = [\"1h\"]\n";
    let play = "start 1 { setsid deaf write /run/there x stay } await /run/there exit 3";
    let stage = Stage::new()?.service("parent", &plays(play, rest)).start_node()?;
    let ended = stage.wait_state("parent", "resting")?;
    assert!(ended.sentence.contains("exit status 3"), "{}", ended.sentence);
    Ok(())
}

#[test]
fn a_storm_of_mounts_wakes_pid_1_for_nothing() -> Result<()> {
    let storm = "await /run/go mounts 2000";
    let stage = Stage::new()?.service("storm", &plays(storm, "kind = \"task\"")).start_node()?;
    stage.wait_state("storm", "starting")?;
    let before = own(&stage, "voluntary_ctxt_switches")?;
    stage.write("/run/go", "")?;
    let mut questions = 0;
    stage.wait_until("the storm's end", |stage| {
        questions += 1;
        Ok(stage.service("storm")?.state == "done")
    })?;
    let woken = own(&stage, "voluntary_ctxt_switches")? - before;
    // Each of our own questions wakes it two or three times, and the task's end.
    assert!(woken < 1000 + 4 * questions, "woken {woken} times, asked {questions} times");
    Ok(())
}

/// An input device that PID 1 opens when it looks at everything.
const DEVICE: &str = "/dev/input/event7";

#[test]
fn no_device_is_missed_when_the_kernel_had_to_drop_its_word() -> Result<()> {
    let stage = Stage::new()?.service("good", &plays("stay", "")).start_node()?;
    stage.wait_state("good", "running")?;
    stage.signal(1, Signal::STOP)?;
    stage.inside(|root| {
        // The socket holds a few hundred.
        for _ in 0..4000 {
            std::fs::write(root.join("sys/class/net/lo/uevent"), "change")?;
        }
        std::fs::create_dir(root.join("dev/input"))?;
        Ok(std::fs::write(root.join(&DEVICE[1..]), "")?)
    })?;
    let opened = inotify::init(inotify::CreateFlags::CLOEXEC)?;
    inotify::add_watch(&opened, stage.path(DEVICE), inotify::WatchFlags::OPEN)?;
    stage.signal(1, Signal::CONT)?;
    let limit = Timespec::try_from(patience())?;
    let mut waited = [PollFd::new(&opened, PollFlags::IN)];
    ensure!(poll(&mut waited, Some(&limit))? == 1, "PID 1 did not look at its devices anew");
    Ok(())
}

#[test]
fn no_input_without_end_is_kept() -> Result<()> {
    let long = "x".repeat(64 * 1024);
    let argument = plays(&format!("write /run/long {long} notify READY=1 stay"), NOTIFIES);
    let says = format!("notify {long}{} start 1 {{ notify READY=1 }} stay", "y".repeat(50_000));
    let stage = Stage::new()?
        .service("long", &argument)
        .service("waits", &plays(&says, NOTIFIES))
        .service("good", &plays("notify READY=1 stay", NOTIFIES))
        .start_node()?;
    for name in ["long", "waits", "good"] {
        stage.wait_state(name, "running")?;
    }
    let before = own(&stage, "VmRSS")?;
    for _ in 0..8 {
        let mut client = stage.client_as(0)?;
        let endless = vec![b'x'; 4 << 20];
        // It is hung up on long before the end, or the rest would be kept.
        let sent = client.socket().write_all(&endless);
        let mut answer = Vec::new();
        let heard = client.socket().read_to_end(&mut answer);
        ensure!(sent.is_err() || heard.is_err() || answer.is_empty(), "it answers {answer:?}");
        ensure!(sent.is_err(), "four megabytes without an end were taken");
    }
    let grown = own(&stage, "VmRSS")?.saturating_sub(before);
    assert!(grown < 1024, "PID 1 grew by {grown} KiB");
    Ok(())
}

#[test]
fn memory_that_runs_out_ends_neither_pid_1_nor_who_did_not_eat_it() -> Result<()> {
    let eater = plays("eat 300 stay", "[restart]\nrests = [\"1h\"]\n");
    // A pod of containerd's that eats too much is not containerd's end.
    let shims = plays("start 1 { eat 300 stay } stay", "[stop]\nkill = \"main\"\n");
    let stage = Stage::new()?
        .memory_max(96 << 20)
        .service("eater", &eater)
        .service("runtime", &shims)
        .service("good", &plays("stay", ""))
        .start_node()?;
    let ended = stage.wait_state("eater", "resting")?;
    assert!(ended.sentence.contains("killed by signal 9"), "{}", ended.sentence);
    stage.wait_until("the pod's end", |stage| {
        let procs = stage.cgroup().join("system/runtime/cgroup.procs");
        Ok(std::fs::read_to_string(procs)?.lines().count() == 1)
    })?;
    for name in ["runtime", "good"] {
        assert_eq!(
            (stage.service(name)?.state.as_str(), stage.service(name)?.starts),
            ("running", 1)
        );
    }
    assert_eq!(stage.call("Status", &json!({}))?["recoveries"], 0);
    Ok(())
}

#[test]
fn processes_that_run_out_do_not_end_pid_1() -> Result<()> {
    let bomb = plays("await /run/go bomb { deaf stay }", "[restart]\nrests = [\"1h\"]\n");
    let stage = Stage::new()?
        .pids_max(60)
        .service("bomb", &bomb)
        .service("good", &plays("stay", "[restart]\nrests = [\"1s\"]\n"))
        .start_node()?;
    let good = stage.wait_state("good", "running")?.pid.context("no process")?;
    stage.write("/run/go", "")?;
    stage.wait_until("no process to be had", |stage| Ok(stage.processes()?.len() >= 60))?;
    stage.signal(good, Signal::KILL)?;
    // Its place is taken at once by the bomb.
    stage.wait_until("a start that fails", |stage| Ok(stage.service("good")?.failures > 1))?;
    let bomb = stage.service("bomb")?.pid.context("no process")?;
    stage.signal(bomb, Signal::KILL)?;
    stage.wait_for("the good one to run again", 2 * patience(), |stage| {
        let now = stage.service("good")?;
        std::thread::sleep(Duration::from_millis(50));
        Ok(now.state == "running")
    })?;
    assert_eq!(stage.call("Status", &json!({}))?["recoveries"], 0);
    Ok(())
}
