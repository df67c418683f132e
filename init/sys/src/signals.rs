// SPDX-License-Identifier: Apache-2.0
//! Signals as a descriptor, signalfd(2), and the one that Ctrl-Alt-Del sends.

use std::os::fd::{AsFd, BorrowedFd};

use nix::libc;
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

    /// The next one, which stays until it is [`Signals::pass`]ed; none for now.
    #[must_use]
    pub fn peek(&self) -> Option<Came> {
        // SAFETY: the set is initialised by the call, which writes nothing else.
        let pending = unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            nix::Error::result(libc::sigpending(&raw mut set)).ok()?;
            SigSet::from_sigset_t_unchecked(set)
        };
        let all = [Came::Child, Came::CtrlAltDel, Came::Term, Came::Power];
        all.into_iter().find(|came| pending.contains(came.signal()))
    }

    /// Takes one that was seen by [`Signals::peek`].
    pub fn pass(&self, came: Came) {
        let mut set = SigSet::empty();
        set.add(came.signal());
        let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: set and time outlive the call, which is told to write nothing.
        unsafe { libc::sigtimedwait(set.as_ref(), std::ptr::null_mut(), &raw const now) };
    }
}

impl Came {
    const fn signal(self) -> Signal {
        match self {
            Self::Child => Signal::SIGCHLD,
            Self::CtrlAltDel => Signal::SIGINT,
            Self::Term => Signal::SIGTERM,
            Self::Power => Signal::SIGPWR,
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
