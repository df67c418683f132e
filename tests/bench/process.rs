// SPDX-License-Identifier: Apache-2.0
//! What /proc says of processes, by their pids on this machine.

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

/// Memory of a process in KiB.
#[derive(Clone, Copy, Default)]
pub(crate) struct Memory {
    pub(crate) private: f64,
    pub(crate) anonymous: f64,
}

pub(crate) fn memory(pid: u32) -> Result<Memory> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let field = |name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next());
        number.and_then(|number| number.parse().ok()).unwrap_or(0.0)
    };
    let private = field("Private_Clean:") + field("Private_Dirty:");
    Ok(Memory { private, anonymous: field("Anonymous:") })
}

/// Times that any of its threads was put on a processor.
pub(crate) fn switches(pid: u32) -> f64 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let of = |thread: std::fs::DirEntry| {
        let text = std::fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        let lines = text.lines().filter(|line| line.contains("ctxt_switches"));
        let numbers = lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
        numbers.sum::<f64>()
    };
    threads.map(of).sum()
}

/// The file that it executes.
pub(crate) fn program(pid: u32) -> String {
    let link = std::fs::read_link(format!("/proc/{pid}/exe"));
    link.map(|path| path.display().to_string()).unwrap_or_default()
}

/// Its number in its own PID namespace.
pub(crate) fn number_inside(pid: u32) -> Option<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let numbers = text.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    numbers.split_whitespace().last()?.parse().ok()
}

pub(crate) fn state(pid: u32) -> Option<char> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit_once(')')?.1.trim_start().chars().next()
}

/// Whether we run before all that has the usual priority, sched(7).
pub(crate) fn is_real_time() -> Result<bool> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = text.rsplit_once(')').context("/proc/self/stat has no name")?;
    // The 41st field, proc_pid_stat(5): the policy, of which 1 and 2 are FIFO and RR.
    Ok(matches!(fields.split_whitespace().nth(38), Some("1" | "2")))
}

pub(crate) fn children(pid: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    text.unwrap_or_default().split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

pub(crate) fn is_gone(pid: u32) -> bool {
    let pid = Pid::from_raw(pid.cast_signed());
    pid.is_none_or(|pid| rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH))
}

/// Asks the kernel whether this child has ended, and leaves it. Each such question takes the lock of all
/// processes, as the end of a parent with many children does.
pub(crate) fn looks_for_end(child: u32) {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    if let Some(pid) = Pid::from_raw(child.cast_signed()) {
        let _ = rustix::process::waitid(WaitId::Pid(pid), options);
    }
}

pub(crate) fn kill(pid: u32) -> Result<()> {
    let pid = Pid::from_raw(pid.cast_signed()).context("no pid")?;
    Ok(rustix::process::kill_process(pid, Signal::KILL)?)
}

/// CLOCK_MONOTONIC in milliseconds, as the services stamp it.
pub(crate) fn now() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    (now.tv_sec as f64).mul_add(1e3, now.tv_nsec as f64 / 1e6)
}
