// SPDX-License-Identifier: Apache-2.0
//! What must come out of one failing call, where "it ended well" is not enough.

use anyhow::{Context, Result, ensure};

use super::{Fault, Watched, life_under, life_with, numbered};

/// Who is not let through its gate stands there until its service is late.
#[test]
fn a_word_through_a_gate_that_finds_no_memory_is_said_again() -> Result<()> {
    // Of the first services, and of the helpers that load modules before them.
    for number in 1..=4 {
        let what = format!("inject=sendto:error=ENOMEM:when={number}");
        let end =
            life_under(Watched::Life, &["-o", "/dev/null", "-e", "trace=sendto", "-e", &what])?;
        ensure!(end == "lived", "{what}: {end}");
    }
    Ok(())
}

#[test]
fn a_list_of_services_and_a_file_of_one_that_cannot_be_read_once_are_read_again() -> Result<()> {
    let folder = "/usr/lib/kubermesh/services";
    for (path, call) in [(folder, "getdents64"), (&*format!("{folder}/stays.toml"), "read")] {
        let what = format!("inject={call}:error=EIO:when=1");
        let end = life_under(
            Watched::Life,
            &["-o", "/dev/null", "-P", path, "-e", &format!("trace={call}"), "-e", &what],
        )?;
        ensure!(end == "lived", "{path}, {what}: {end}");
    }
    Ok(())
}

/// What it reads is its record, what it asks whether its children live.
#[test]
fn what_a_recovery_cannot_read_or_ask_once_costs_no_service() -> Result<()> {
    let calls = numbered(Watched::Recovery)?;
    for call in ["pread64", "waitid"] {
        for number in calls.get(call).context("PID 1 reads nothing")? {
            let fault = Fault { call: call.into(), number: *number, kind: "error=EIO".into() };
            let end = life_with(Watched::Recovery, &fault).with_context(|| format!("{fault:?}"))?;
            ensure!(end == "lived", "{fault:?}: {end}");
        }
    }
    Ok(())
}

/// What a program on trial cannot read it leaves open: the one before reads it, and goes on.
#[test]
fn a_record_that_cannot_be_read_during_an_upgrade_costs_no_service() -> Result<()> {
    let calls = numbered(Watched::Upgrade)?;
    for first in calls.get("pread64").context("PID 1 reads nothing")? {
        // It tries thrice.
        let inject = format!("inject=pread64:error=EIO:when={first}..{}", first + 2);
        let words = ["-o", "/dev/null", "-e", "trace=pread64", "-e", &inject];
        let end = life_under(Watched::Upgrade, &words).with_context(|| inject.clone())?;
        ensure!(end == "lived", "{inject}: {end}");
    }
    Ok(())
}

/// Or the node would be without their drivers for good.
#[test]
fn devices_that_cannot_be_looked_at_once_are_looked_at_again() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let trace = folder.path().join("trace");
    for call in ["open", "getdents64"] {
        let inject = format!("inject={call}:error=ENOMEM:when=1");
        let (to, trace_of) = (trace.to_string_lossy(), format!("trace={call}"));
        life_under(Watched::Life, &["-o", &to, "-P", "/sys/bus", "-e", &trace_of, "-e", &inject])?;
        let text = std::fs::read_to_string(&trace)?;
        let mut tried = text.lines().filter(|line| line.starts_with(call));
        ensure!(tried.next().is_some_and(|line| line.contains("(INJECTED)")), "{text}");
        ensure!(tried.any(|line| !line.contains(" = -1 ")), "never again: {text}");
    }
    Ok(())
}

/// PID 1 has not begun its loop then, and has no record: it cannot live, but it can say so and start the machine again.
#[test]
fn memory_that_is_refused_before_the_loop_begins_is_no_kernel_panic() -> Result<()> {
    let calls = numbered(Watched::Life)?;
    let mut restarts = 0;
    // So many while PID 1 makes its house.
    for number in calls.get("mmap").context("PID 1 maps nothing")?.iter().take(8) {
        let (call, kind) = ("mmap".to_owned(), "error=ENOMEM".to_owned());
        let fault = Fault { call, number: *number, kind };
        let end = life_with(Watched::Life, &fault).with_context(|| format!("{fault:?}"))?;
        println!("{fault:?}: {end}");
        restarts += usize::from(end.starts_with("started again"));
    }
    ensure!(restarts > 0, "no mapping was one that PID 1 needs: this test shows nothing");
    Ok(())
}

/// Without cgroups no service starts.
#[test]
fn a_file_system_that_cannot_be_mounted_once_is_mounted_all_the_same() -> Result<()> {
    let what = "inject=mount:error=ENOMEM:when=1";
    let end = life_under(
        Watched::Life,
        &["-o", "/dev/null", "-P", "/sys/fs/cgroup", "-e", "trace=mount", "-e", what],
    )?;
    ensure!(end == "lived", "{end}");
    Ok(())
}
