// SPDX-License-Identifier: Apache-2.0
//! Signals as a descriptor: a second one of a kind is merged into the first.

use crate::Errno;
use crate::descriptor::{AsFd, BorrowedFd, OwnedFd};
use crate::kernel::{Thing, call};

#[derive(Debug)]
pub struct Signals {
    descriptor: OwnedFd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Came {
    Child,
    CtrlAltDel,
    Term,
    Power,
}

pub type Refusal = Errno;

impl Signals {
    pub fn open() -> Result<Self, Refusal> {
        call("signalfd", |machine| machine.open(Thing::Signals))
            .map(|number| Self { descriptor: OwnedFd(number) })
    }

    pub fn peek(&self) -> Option<Came> {
        call("sigpending", |machine| machine.pending.first().copied())
    }

    pub fn pass(&self, came: Came) {
        call("sigtimedwait", |machine| machine.pending.remove(&came));
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
