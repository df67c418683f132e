// SPDX-License-Identifier: Apache-2.0
//! A watchdog that bites a PID 1 that does not feed it.

use crate::descriptor::{OwnedFd, RawFd};
use crate::kernel::{Thing, call};
use crate::{Errno, inherited};

#[derive(Debug)]
pub struct Watchdog {
    device: OwnedFd,
}

impl Watchdog {
    pub fn open(seconds: i32) -> Result<Self, Errno> {
        let number = call("open", |machine| machine.open(Thing::Watchdog))?;
        Self::arm(OwnedFd(number), seconds)
    }

    pub fn arm(device: OwnedFd, seconds: i32) -> Result<Self, Errno> {
        call("ioctl", |machine| machine.arm(seconds));
        Ok(Self { device })
    }

    pub fn feed(&self) -> Result<(), Errno> {
        call("write", |machine| {
            machine.feed();
            Ok(())
        })
    }

    pub fn placed(&self, number: RawFd) -> Result<Self, Errno> {
        Ok(Self { device: inherited::place(&self.device, number)? })
    }
}
