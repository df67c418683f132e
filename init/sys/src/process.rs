// SPDX-License-Identifier: Apache-2.0
//! Processes by their number: who has ended, who shall.

use std::time::Duration;

use nix::libc;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
pub use rustix::process::Signal;
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, WaitOptions};

use crate::Errno;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With this exit status.
    Exit(i32),
    /// By this signal.
    Signal(i32),
}

/// The next child, or orphan, that has ended; none for now. It stays so, and its number its own,
/// until it is [`reap`]ed: who crashes in between finds it again.
#[must_use]
pub fn next_ended() -> Option<(u32, Ended)> {
    // The kernel tells of an end once: a question that fails for another reason than that there are no children
    // is asked again.
    let mut answers = (0..3)
        .map(|_| peek_ended())
        .skip_while(|answer| matches!(answer, Err(refusal) if *refusal != nix::Error::ECHILD));
    let (pid, status, code) = answers.next()?.ok()?;
    let ended = match code {
        libc::CLD_EXITED => Ended::Exit(status),
        _ => Ended::Signal(status),
    };
    (pid > 0).then_some((pid.cast_unsigned(), ended))
}

/// Pid, status and code of waitid(2); the pid is 0 where nobody has ended.
fn peek_ended() -> nix::Result<(i32, i32, i32)> {
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: the structure outlives the call. It was zero before, so its fields are readable where
    // the kernel wrote none of them.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        nix::Error::result(libc::waitid(libc::P_ALL, 0, &raw mut info, options))?;
        Ok((info.si_pid(), info.si_status(), info.si_code))
    }
}

/// Takes the end of this child; its number may be another's from now on.
pub fn reap(pid: u32) {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    if let Some(pid) = Pid::from_raw(pid.cast_signed()) {
        let _ = rustix::process::waitid(WaitId::Pid(pid), options);
    }
}

/// The process group of one that has not been reaped yet; none where it is our own, or of another namespace.
#[must_use]
pub fn group_of(pid: u32) -> Option<u32> {
    // SAFETY: plain numbers. Not rustix's: a group of another namespace is 0, which is none of its Pids.
    let (group, own) = unsafe { (libc::getpgid(pid.cast_signed()), libc::getpgrp()) };
    (group > 0 && group != own).then_some(group.cast_unsigned())
}

/// Takes the end of a child in this process group; who it was, none where nobody of it has ended.
#[must_use]
pub fn reap_one_of(group: u32) -> Option<u32> {
    let group = Pid::from_raw(group.cast_signed())?;
    let (pid, _) = rustix::process::waitpgid(group, WaitOptions::NOHANG).ok()??;
    Some(pid.as_raw_nonzero().get().cast_unsigned())
}

/// Whether this is a child of ours, alive or not reaped yet. True unless the kernel says ECHILD: any other refusal
/// proves nothing.
#[must_use]
pub fn is_child(pid: u32) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let ask = |pid| rustix::process::waitid(WaitId::Pid(pid), options);
    Pid::from_raw(pid.cast_signed()).is_some_and(|pid| !matches!(ask(pid), Err(Errno::CHILD)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor::AsFd;
    use crate::files;
    use crate::spawn::{self, Place, Program};

    #[test]
    fn those_of_a_group_are_reaped_by_it_and_who_is_in_ours_has_none_to_be_reaped_by() {
        let null = files::null().unwrap();
        let command = ["/bin/true".to_owned()];
        let null = null.as_fd();
        let (place, input, output, third) = (Place::Parents, null, null, None);
        let program = Program {
            command: &command,
            environment: &[],
            place,
            oom_score: 0,
            input,
            output,
            third,
        };
        let leader = spawn::spawn(&program).unwrap();
        spawn::let_go(&leader.gate);
        assert!(ends_within(leader.pid, Duration::from_secs(60)).unwrap());
        assert_eq!(group_of(leader.pid), Some(leader.pid));
        assert_eq!(reap_one_of(leader.pid), Some(leader.pid));
        assert_eq!(reap_one_of(leader.pid), None);
        assert_eq!(group_of(leader.pid), None);
        let mut ours = std::process::Command::new("/bin/true").spawn().unwrap();
        assert_eq!(group_of(ours.id()), None);
        ours.wait().unwrap();
    }
}
