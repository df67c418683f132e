// SPDX-License-Identifier: Apache-2.0
//! How an init on a stage came to its end.

use rustix::process::Signal;

/// How PID 1 ended, reboot(2) in a PID namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It asked for a restart of the machine.
    Restart,
    /// It asked for the power to go off, or halted.
    PowerOff,
    /// A signal killed it: a kernel panic on a machine.
    Signal(i32),
    /// It exited: a kernel panic on a machine.
    Exit(i32),
}

impl Ended {
    /// From what waitpid(2) tells: the kernel kills with SIGHUP or SIGINT who asks for a reboot.
    pub(super) fn of(status: Option<i32>, signal: Option<i32>) -> Self {
        match (status, signal) {
            (_, Some(signal)) if signal == Signal::HUP.as_raw() => Self::Restart,
            (_, Some(signal)) if signal == Signal::INT.as_raw() => Self::PowerOff,
            (_, Some(signal)) => Self::Signal(signal),
            (status, None) => Self::Exit(status.unwrap_or(-1)),
        }
    }
}
