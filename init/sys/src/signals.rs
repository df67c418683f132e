// SPDX-License-Identifier: Apache-2.0
//! Signals as a descriptor, signalfd(2), and the one that Ctrl-Alt-Del sends.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// The signals that PID 1 takes from a descriptor.
#[derive(Debug)]
pub struct Signals {
    descriptor: SignalFd,
}

/// A signal that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// SIGCHLD: somebody has ended.
    Child,
    /// SIGINT: Ctrl-Alt-Del, once reboot(2) CAD_OFF has asked for it.
    CtrlAltDel,
    /// SIGTERM: somebody wants the machine to start again.
    Term,
    /// SIGPWR: the power fails, or lxc wants us gone.
    Power,
}

/// Why signals cannot be taken from a descriptor.
pub type Refusal = nix::Error;

impl Signals {
    /// Takes them from now on. SEGV, BUS, ILL, FPE and ABRT are never among them: a blocked one
    /// would survive exec, and the next crash would be the kernel's.
    ///
    /// # Errors
    /// EMFILE, ENOMEM.
    pub fn open() -> Result<Self, Refusal> {
        let mut set = SigSet::empty();
        for signal in [Signal::SIGCHLD, Signal::SIGINT, Signal::SIGTERM, Signal::SIGPWR] {
            set.add(signal);
        }
        set.thread_set_mask()?;
        let descriptor =
            SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Ok(Self { descriptor })
    }

    /// The next one; none for now.
    pub fn take(&mut self) -> Option<Came> {
        let info = self.descriptor.read_signal().ok()??;
        match Signal::try_from(info.ssi_signo.cast_signed()) {
            Ok(Signal::SIGCHLD) => Some(Came::Child),
            Ok(Signal::SIGINT) => Some(Came::CtrlAltDel),
            Ok(Signal::SIGPWR) => Some(Came::Power),
            Ok(_) | Err(_) => Some(Came::Term),
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
