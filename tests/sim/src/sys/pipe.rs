// SPDX-License-Identifier: Apache-2.0
//! pipe(7), of 64 KiB.

use crate::Errno;
use crate::descriptor::{AsFd, OwnedFd};
use crate::kernel::{Thing, call};

pub fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    call("pipe", |machine| machine.pipe())
        .map(|(reader, writer)| (OwnedFd(reader), OwnedFd(writer)))
}

pub fn read(reader: &impl AsFd, bytes: &mut [u8]) -> Result<usize, Errno> {
    let number = reader.as_fd().number;
    call("read", |machine| machine.read_pipe(number, bytes))
}

pub fn has_room(writer: &impl AsFd) -> bool {
    let number = writer.as_fd().number;
    call("poll", |machine| machine.has_room(number)).unwrap_or(true)
}

pub fn peek(reader: &impl AsFd) -> Result<Vec<u8>, Errno> {
    let number = reader.as_fd().number;
    call("tee", |machine| machine.peek_pipe(number))
}

pub fn unread(reader: &impl AsFd) -> Result<u64, Errno> {
    let number = reader.as_fd().number;
    call("ioctl", |machine| match machine.thing(number)? {
        Thing::Reader { bytes, .. } => Ok(bytes.len() as u64),
        _ => Err(Errno::NOTTY),
    })
}
