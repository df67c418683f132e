// SPDX-License-Identifier: Apache-2.0
//! Holds a pod's namespaces open and does nothing else.
//!
//! With a shared process namespace it is process 1 of the whole pod, so it reaps what the pod's
//! containers leave behind.

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use rustix::process::{WaitOptions, wait};

/// Why the pause could not wait.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PauseError {
    #[error("take signals")]
    Signals(#[source] Errno),
}

/// Waits for TERM or INT, for as long as the pod lives: there is no deadline to have.
pub(crate) fn until_told() -> Result<(), PauseError> {
    let mut awaited = SigSet::empty();
    awaited.add(Signal::SIGTERM);
    awaited.add(Signal::SIGINT);
    // A blocked signal is kept for us although SIGCHLD's default is to be ignored: signal(7).
    awaited.add(Signal::SIGCHLD);
    awaited.thread_block().map_err(PauseError::Signals)?;

    while awaited.wait().map_err(PauseError::Signals)? == Signal::SIGCHLD {
        reap();
    }
    Ok(())
}

/// One SIGCHLD may stand for many exits, so it takes all there are.
fn reap() {
    while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

    #[test]
    fn whatever_exited_is_reaped_however_many_share_a_signal() {
        let mut children: Vec<_> = (0..3).map(|_| Command::new("true").spawn().unwrap()).collect();
        for child in &children {
            let pid = Pid::from_child(child);
            waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
        }

        reap();

        for child in &mut children {
            let gone = child.try_wait().unwrap_err();
            assert_eq!(gone.raw_os_error(), Some(10), "ECHILD: somebody waited for it already");
        }
    }
}
