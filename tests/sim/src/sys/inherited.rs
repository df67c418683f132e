// SPDX-License-Identifier: Apache-2.0
//! What the last life left open under numbers that the next one knows.

use crate::Errno;
use crate::descriptor::{OwnedFd, RawFd};
use crate::kernel::call;

pub fn place(descriptor: &OwnedFd, number: RawFd) -> Result<OwnedFd, Errno> {
    call("dup2", |machine| machine.place(descriptor.0, number)).map(OwnedFd)
}

pub fn take_back(number: RawFd) -> Result<OwnedFd, Errno> {
    let is_open = call("fcntl", |machine| machine.descriptors.contains_key(&number));
    if is_open { Ok(OwnedFd(number)) } else { Err(Errno::BADF) }
}

pub fn take(number: RawFd) -> Result<OwnedFd, Errno> {
    let is_open = call("fcntl", |machine| {
        machine.kept.remove(&number);
        machine.descriptors.contains_key(&number)
    });
    if is_open { Ok(OwnedFd(number)) } else { Err(Errno::BADF) }
}
