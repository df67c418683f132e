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
