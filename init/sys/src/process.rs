// SPDX-License-Identifier: Apache-2.0
//! Processes by their number: who has ended, who shall.

use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
pub use rustix::process::Signal;
use rustix::process::{Pid, PidfdFlags, WaitOptions};

use crate::Errno;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With this exit status.
    Exit(i32),
    /// By this signal.
    Signal(i32),
}

/// Takes the end of the next child that has ended, or of an orphan; none for now.
#[must_use]
pub fn reap() -> Option<(u32, Ended)> {
    let (pid, status) = rustix::process::wait(WaitOptions::NOHANG).ok()??;
    let ended = match (status.exit_status(), status.terminating_signal()) {
        (Some(status), _) => Ended::Exit(status),
        (None, Some(signal)) => Ended::Signal(signal),
        (None, None) => Ended::Exit(-1),
    };
    Some((pid.as_raw_pid().cast_unsigned(), ended))
}

/// kill(2). Number 0, which would be one's own group, and what is no number of a process is nobody.
///
/// # Errors
/// ESRCH for nobody, EPERM.
pub fn kill(pid: u32, signal: Signal) -> Result<(), Errno> {
    let target = Pid::from_raw(pid.cast_signed()).ok_or(Errno::SRCH)?;
    rustix::process::kill_process(target, signal)
}

/// SIGCHLD to oneself: there is more to reap than was reaped.
pub fn remind_of_children() {
    let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::CHILD);
}

/// Whether this is the first process of its kernel or namespace.
#[must_use]
pub fn is_first() -> bool {
    rustix::process::getpid().is_init()
}

/// Waits for a child's end, which it does not reap; whether it came within the time.
///
/// # Errors
/// ESRCH, EMFILE.
pub fn ends_within(pid: u32, within: Duration) -> Result<bool, Errno> {
    let target = Pid::from_raw(pid.cast_signed()).ok_or(Errno::SRCH)?;
    let pidfd = rustix::process::pidfd_open(target, PidfdFlags::empty())?;
    let timeout = Timespec {
        tv_sec: i64::try_from(within.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(within.subsec_nanos()),
    };
    poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timeout)).map(|ready| ready > 0)
}
