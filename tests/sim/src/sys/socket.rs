// SPDX-License-Identifier: Apache-2.0
//! The control socket: clients that ask, that say nonsense, that never read.

use crate::Errno;
use crate::descriptor::{AsFd, OwnedFd};
use crate::kernel::{Thing, call};

pub fn listen(_path: &str) -> Result<OwnedFd, Errno> {
    call("listen", |machine| machine.open(Thing::Listener(Default::default()))).map(OwnedFd)
}

pub fn accept(listener: &impl AsFd) -> Result<OwnedFd, Errno> {
    let number = listener.as_fd().number;
    call("accept", |machine| machine.accept(number)).map(OwnedFd)
}

pub fn is_root(socket: &impl AsFd) -> bool {
    let number = socket.as_fd().number;
    call("getsockopt", |machine| {
        matches!(machine.thing(number), Ok(Thing::Stream { is_root: true, .. }))
    })
}

pub fn receive(socket: &impl AsFd, bytes: &mut [u8]) -> Result<usize, Errno> {
    let number = socket.as_fd().number;
    call("recv", |machine| machine.receive_stream(number, bytes))
}

pub fn send(socket: &impl AsFd, bytes: &[u8]) -> Result<usize, Errno> {
    let number = socket.as_fd().number;
    call("send", |machine| machine.send_stream(number, bytes))
}
