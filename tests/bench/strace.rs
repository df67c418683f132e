// SPDX-License-Identifier: Apache-2.0
//! System calls for a restart: those of all that supervises and of the new child, until it is executed.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal};

use crate::tree::Tree;

/// Traces these while `restart` restarts one service; the number of calls.
pub(crate) fn count(
    tree: &Tree,
    pids: &[u32],
    restart: impl FnOnce() -> Result<()>,
) -> Result<f64> {
    let file = tempfile::NamedTempFile::new()?;
    let mut command = tree.command("/usr/bin/strace");
    command.args(["-f", "-qq", "-o"]).arg(file.path());
    for pid in pids {
        command.args(["-p", &pid.to_string()]);
    }
    let mut strace = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let traced = wait_traced(pids);
    let done = traced.and_then(|()| restart());
    // SIGINT: it lets go of them, writes all and ends.
    let pid = Pid::from_raw(strace.id().cast_signed()).context("no pid")?;
    rustix::process::kill_process(pid, Signal::INT)?;
    strace.wait()?;
    done?;
    Ok(count_lines(&read(file.path())?, pids) as f64)
}

fn wait_traced(pids: &[u32]) -> Result<()> {
    let began = Instant::now();
    let is_traced = |pid: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        !status.contains("TracerPid:\t0\n")
    };
    while !pids.iter().all(is_traced) {
        ensure!(began.elapsed() < Duration::from_secs(60), "strace does not attach");
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    Ok(String::from_utf8_lossy(&std::fs::read(path)?).into_owned())
}

fn count_lines(text: &str, supervisors: &[u32]) -> usize {
    let mut calls: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    for line in text.lines() {
        let Some((pid, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        // A call that others interrupt is told twice, signals and ends are none; nor are those in which
        // whoever had nothing to do was found and left.
        let is_cut = call.contains("<detached") || call.contains("resuming interrupted");
        if !call.starts_with(['<', '+', '-'])
            && !is_cut
            && let Ok(pid) = pid.parse()
        {
            calls.entry(pid).or_default().push(call);
        }
    }
    let of = |(pid, calls): (&u32, &Vec<&str>)| {
        if supervisors.contains(pid) {
            return calls.len();
        }
        // What the service itself does, from its exec on, is not counted.
        let stamps = calls.iter().position(|call| call.contains("\"/stamps\""));
        let own = stamps.and_then(|at| calls.get(..at)).unwrap_or(calls);
        own.iter().rposition(|call| call.starts_with("execve(")).map_or(own.len(), |at| at + 1)
    };
    calls.iter().map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_the_service_itself_are_not_counted() {
        let text = "7 wait4(-1) = 9\n7 clone3({}) = 12\n12 setsid() = 12\n7 write(3 <unfinished ...>\n\
                    12 execve(\"/runner\") = 0\n7 <... write resumed>) = 1\n12 brk(NULL) = 0x1\n\
                    12 open(\"/stamps\") = 3\n12 +++ exited with 0 +++\n8 poll([{fd=3}], 1, -1 <detached ...>\n";
        assert_eq!(count_lines(text, &[7, 8]), 5);
    }
}
