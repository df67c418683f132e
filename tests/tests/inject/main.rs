// SPDX-License-Identifier: Apache-2.0
//! Every system call of PID 1 fails once, or tarries, somewhere in its life, in its recovery from a crash, or while another
//! program takes its place: it goes on supervising, or the machine starts again in order and says why. Never does it hang,
//! vanish or lose a service.
//!
//! ```text
//! a life that is only watched ─► its calls, numbered ─► for each: a life in which one of them fails, one in which it tarries
//! ```
//!
//! strace(1) is what makes them fail, PID 1 is as it ships.

#![allow(
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may stop where it stands"
)]

mod once;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use kubermesh_tests::stage::{Ended, Running, Service, Stage, node_program, patience};
use rustix::process::Signal;
use serde_json::json;

const STAYS: &str = "command = [\"/actor\", \"stamp\", \"/run/stays\", \"notify\", \"READY=1\", \"stay\"]\n[ready]\nnotify = true\n";
const ONCE: &str =
    "command = [\"/actor\", \"exit\", \"0\"]\nkind = \"task\"\nafter = [\"stays\"]\n";

/// What a call may fail with that the kernel has no memory, descriptors or processes for, or that meets a
/// broken device; each call is given those of its manual page.
const ERRORS: [(&str, &[&str]); 16] = [
    ("accept4", &["EMFILE", "ECONNABORTED", "ENOMEM"]),
    ("clone3", &["EAGAIN", "ENOMEM", "EBUSY"]),
    ("connect", &["EAGAIN", "ECONNREFUSED"]),
    ("epoll_ctl", &["ENOMEM", "ENOSPC"]),
    ("epoll_pwait2", &["EINTR"]),
    ("fcntl", &["EMFILE", "EINVAL"]),
    ("memfd_create", &["EMFILE", "ENOMEM"]),
    ("mkdir", &["ENOSPC", "ENOMEM", "EROFS"]),
    ("open", &["EMFILE", "ENFILE", "EIO", "EINTR"]),
    ("pipe2", &["EMFILE", "ENFILE"]),
    ("poll", &["ENOMEM", "EINTR"]),
    ("read", &["EIO", "EINTR", "EAGAIN"]),
    ("recvmsg", &["ENOBUFS", "EINTR", "ENOMEM"]),
    ("sendmsg", &["EAGAIN", "ENOBUFS", "EPIPE"]),
    ("socket", &["EMFILE", "ENOBUFS"]),
    ("write", &["ENOSPC", "EIO", "EAGAIN"]),
];
const OTHERS: [&str; 3] = ["ENOMEM", "EIO", "EPERM"];

/// They do not fail (rt_sigprocmask(2): only where it is given nonsense). Left out too is what the C library and Rust do before PID 1's first line: where they have no memory for a stack
/// or no handler, they end the program. On a machine that is a kernel panic, and it starts again; a traced first process is let
/// live by the kernel, so that this cannot be seen here.
const LEFT_OUT: [&str; 7] =
    ["rt_sigprocmask", "rt_sigreturn", "exit_group", "exit", "getpid", "gettid", "set_tid_address"];

/// What of PID 1 is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watched {
    /// From its first line to the last.
    Life,
    /// From a crash on.
    Recovery,
    /// From `kubermesh upgrade-init` on.
    Upgrade,
}

/// The calls of each kind that are PID 1's own, by their numbers since strace holds it.
type Calls = BTreeMap<String, Vec<usize>>;

/// What happens to one call.
#[derive(Clone, Debug)]
struct Fault {
    call: String,
    /// Which one of its kind since strace holds PID 1, from 1 on.
    number: usize,
    /// As strace writes it: `error=EIO`, `delay_enter=100000`.
    kind: String,
}

#[test]
fn a_system_call_that_fails_or_tarries_costs_no_service() -> Result<()> {
    each_fails(Watched::Life)
}

#[test]
fn one_that_does_so_while_pid_1_recovers_from_a_crash_costs_no_service() -> Result<()> {
    each_fails(Watched::Recovery)
}

#[test]
fn one_that_does_so_while_another_program_takes_over_costs_no_service() -> Result<()> {
    each_fails(Watched::Upgrade)
}

fn each_fails(watched: Watched) -> Result<()> {
    let calls = numbered(watched)?;
    let total: usize = calls.values().map(Vec::len).sum();
    println!("{watched:?}: {} kinds of calls, {total} in all", calls.len());
    let faults = faults(&calls, every()?);
    let (next, bad) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let begun = Instant::now();
    let work = || {
        while let Some(fault) = faults.get(next.fetch_add(1, Ordering::Relaxed)) {
            let began = Instant::now();
            let end = life_with(watched, fault);
            let words = end.as_ref().map_or_else(|error| format!("{error:#}"), Clone::clone);
            println!("{watched:?}, {fault:?}: {words} ({:.1?})", began.elapsed());
            if end.is_err() {
                bad.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(fault);
            }
        }
    };
    std::thread::scope(|scope| (0..2).for_each(|_| drop(scope.spawn(work))));
    println!("{} lives in {:.0?}", faults.len(), begun.elapsed());
    let bad = bad.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    ensure!(bad.is_empty(), "{} of {} did not end well: {bad:#?}", bad.len(), faults.len());
    Ok(())
}

/// Each call fails so often in its life that is watched: once in `make test`; `EVERY=1` has each one fail, in each way.
fn every() -> Result<Option<NonZeroUsize>> {
    match std::env::var("EVERY") {
        Ok(text) => Ok(Some(
            text.parse()
                .with_context(|| format!("EVERY={text}: a whole number from 1 on is allowed"))?,
        )),
        Err(_) => Ok(None),
    }
}

fn faults(calls: &Calls, every: Option<NonZeroUsize>) -> Vec<Fault> {
    let mut all = Vec::new();
    for (call, numbers) in calls {
        // Its own, whatever other kinds there are.
        let at: usize = call.bytes().map(usize::from).sum();
        let errors =
            ERRORS.iter().find(|(name, _)| name == call).map_or(&OTHERS[..], |(_, own)| own);
        let kinds = || errors.iter().map(|error| format!("error={error}"));
        let tarries = || "delay_enter=100000".to_owned();
        let fault = |number: usize, kind| Fault { call: call.clone(), number, kind };
        match every {
            Some(step) => all.extend(numbers.iter().step_by(step.get()).flat_map(|number| {
                kinds().chain([tarries()]).map(move |kind| fault(*number, kind))
            })),
            // Another place and another error for each kind of call, the same ones each time.
            None => {
                let nth = |factor| numbers[at * factor % numbers.len()];
                all.extend(kinds().nth(at % errors.len()).map(|kind| fault(nth(7), kind)));
                all.push(fault(nth(5), tarries()));
            }
        }
    }
    all
}

/// One with nothing wrong.
fn numbered(watched: Watched) -> Result<Calls> {
    let folder = tempfile::tempdir()?;
    let trace = folder.path().join("trace");
    let end = life_under(watched, &["-o", &trace.to_string_lossy()])?;
    ensure!(end == "lived", "with nothing wrong it {end}");
    let (mut counts, mut calls) = (BTreeMap::new(), Calls::new());
    let (mut is_executed, mut is_ours) = (false, watched != Watched::Life);
    for (name, rest) in
        std::fs::read_to_string(trace)?.lines().filter_map(|line| line.split_once('('))
    {
        let count = counts.entry(name.to_owned()).or_insert(0);
        *count += 1;
        // What comes before are C library and Rust, which set a program up.
        is_ours |= is_executed && rest.contains("\"/dev/kmsg\"");
        if is_ours {
            calls.entry(name.to_owned()).or_default().push(*count);
        }
        if name.starts_with("execve") {
            (is_executed, is_ours) = (true, false);
        }
    }
    ensure!(is_executed && is_ours, "PID 1 never opened its log");
    calls.retain(|name: &String, _| !LEFT_OUT.contains(&name.as_str()));
    Ok(calls)
}

fn set() -> Stage {
    Stage::new().map_or_else(
        |error| panic!("{error:#}"),
        |stage| {
            let command = node_program("kubermesh").unwrap_or_else(|error| panic!("{error:#}"));
            let stage = stage.program(command, "/usr/bin/kubermesh");
            stage.service("stays", STAYS).service("once", ONCE)
        },
    )
}

/// How it ended well.
fn life_with(watched: Watched, fault: &Fault) -> Result<String> {
    let (set, what, at) = (&fault.call, &fault.kind, fault.number);
    let inject = format!("inject={set}:{what}:when={at}");
    life_under(watched, &["-o", "/dev/null", "-e", &format!("trace={set}"), "-e", &inject])
}

/// How a life ended well that strace is told so about.
fn life_under(watched: Watched, words: &[&str]) -> Result<String> {
    let arguments: Vec<String> = words.iter().map(ToString::to_string).collect();
    let (mut stage, end);
    if watched == Watched::Life {
        stage = set().start_node_traced(&arguments)?;
        end = live(&mut stage);
    } else {
        stage = set().start_node()?;
        let before = is_up(&stage)?;
        stage.trace(&arguments)?;
        end = outlives(watched, &mut stage, &before);
    }
    let said = stage.kmsg();
    let tail = || said[said.len().saturating_sub(12)..].join("\n");
    let end = end.with_context(tail)?;
    let is_late = |line: &&String| LATE.iter().any(|words| line.contains(words));
    ensure!(said.iter().find(is_late).is_none(), "a service was late:\n{}", tail());
    match end {
        Some(Ended::Restart) => Ok("lived".into()),
        None => {
            let told = said.iter().find(|line| line.contains("status=failed PID 1 cannot go on"));
            Ok(format!(
                "started again: {}",
                told.with_context(|| format!("it started again without a word:\n{}", tail()))?
            ))
        }
        Some(other) => bail!("{other:?}:\n{}", tail()),
    }
}

/// No fault here takes as long as a service is given.
const LATE: [&str; 2] = ["not ready within", "not done within"];

/// A question whose answer a fault ate takes one patience.
const LIFE: u32 = 3;

/// Comes up, loses a service, gets it back, goes down. None: it went down before it was asked to.
fn live(stage: &mut Running) -> Result<Option<Ended>> {
    let deadline = Instant::now() + LIFE * patience();
    let mut asked = false;
    let mut killed = None;
    loop {
        if let Some(end) = stage.has_ended()? {
            return Ok(if asked || end != Ended::Restart { Some(end) } else { None });
        }
        ensure!(Instant::now() < deadline, "it hangs: {:#?}", stage.services());
        std::thread::sleep(Duration::from_millis(5));
        // A question whose answer a fault ate is asked again.
        let Ok(services) = stage.services() else { continue };
        let (Some(stays), Some(once)) = (services.get("stays"), services.get("once")) else {
            continue;
        };
        if stays.state != "running" || once.state != "done" {
            continue;
        }
        match (killed, stays.pid) {
            (None, Some(pid)) => {
                if stage.signal(pid, Signal::KILL).is_ok() {
                    killed = Some(pid);
                }
            }
            (Some(old), Some(new)) if old != new => {
                asked = true;
                let _ = stage.call("Reboot", &json!({}));
            }
            (Some(_) | None, _) => {}
        }
    }
}

/// The process of the service that stays, when all has come up.
fn is_up(stage: &Running) -> Result<Service> {
    stage.wait_state("once", "done")?;
    stage.wait_state("stays", "running")
}

/// PID 1 crashes, or gives its place to a program, and its service lives on as it was; then it goes down.
/// None: it went down before it was asked to.
fn outlives(watched: Watched, stage: &mut Running, before: &Service) -> Result<Option<Ended>> {
    if watched == Watched::Upgrade {
        // To itself; or a fault makes it go back, and it says why.
        let asked = stage.exec(&["/usr/bin/kubermesh", "upgrade-init", "/usr/lib/kubermesh/init"]);
        let told = asked.is_ok_and(|output| output.status.success() || !output.stderr.is_empty());
        // Who asked hears nothing where the machine starts again; how that ended is looked at below.
        ensure!(
            told || stage.call("Status", &json!({})).is_err(),
            "not a word of why it went back"
        );
    } else {
        stage.signal(1, Signal::SEGV)?;
    }
    let deadline = Instant::now() + LIFE * patience();
    let mut asked = false;
    loop {
        if let Some(end) = stage.has_ended()? {
            return Ok(if asked || end != Ended::Restart { Some(end) } else { None });
        }
        ensure!(Instant::now() < deadline, "it hangs: {:#?}", stage.services());
        std::thread::sleep(Duration::from_millis(5));
        let Ok(status) = stage.call("Status", &json!({})) else { continue };
        // A fault may be one more crash.
        ensure!(watched == Watched::Upgrade || status["recoveries"] != 0, "{status}");
        let Ok(now) = stage.service("stays") else { continue };
        ensure!((now.pid, now.starts) == (before.pid, before.starts), "{before:?}, then {now:?}");
        asked = true;
        let _ = stage.call("Reboot", &json!({}));
    }
}
