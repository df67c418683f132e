// SPDX-License-Identifier: Apache-2.0
//! Input devices that come and go, some with a power key.

use crate::Errno;
use crate::descriptor::{AsFd, BorrowedFd, OwnedFd};
use crate::kernel::{Thing, call};

#[derive(Debug)]
pub struct PowerKey {
    device: OwnedFd,
}

impl PowerKey {
    pub fn open(path: &str) -> Option<Self> {
        call("open", |machine| machine.open_key(path))
            .ok()
            .map(|number| Self { device: OwnedFd(number) })
    }

    pub fn was_pressed(&self) -> Result<bool, Errno> {
        let number = self.device.0;
        call("read", |machine| match machine.thing(number)? {
            Thing::Key { is_gone: true, .. } => Err(Errno::NODEV),
            Thing::Key { pressed, .. } => Ok(std::mem::take(pressed)),
            _ => Err(Errno::BADF),
        })
    }
}

impl AsFd for PowerKey {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}
