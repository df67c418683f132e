// SPDX-License-Identifier: Apache-2.0
//! A pair of sockets that keep messages apart, with queues that fill.

use crate::Errno;
use crate::descriptor::{AsFd, BorrowedFd, OwnedFd};
use crate::kernel::call;

pub fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    call("socketpair", |machine| machine.packets())
        .map(|(ours, theirs)| (OwnedFd(ours), OwnedFd(theirs)))
}

pub fn send(
    socket: &impl AsFd,
    bytes: &[u8],
    descriptor: Option<BorrowedFd<'_>>,
) -> Result<(), Errno> {
    let (number, attached) = (socket.as_fd().number, descriptor.map(|found| found.number));
    call("sendmsg", |machine| machine.send_packet(number, bytes, attached))
}

pub fn peek(socket: &impl AsFd, _limit: usize) -> Result<Option<Vec<u8>>, Errno> {
    let number = socket.as_fd().number;
    call("recv", |machine| machine.peek_packet(number))
}

pub fn pass(socket: &impl AsFd) {
    let number = socket.as_fd().number;
    call("recv", |machine| machine.pass_packet(number));
}

#[derive(Debug)]
pub struct Message {
    pub bytes: Vec<u8>,
    pub descriptor: Option<OwnedFd>,
}

/// Of a client that is root: what may bring a descriptor is read so.
pub fn receive(socket: &impl AsFd, limit: usize) -> Result<Option<Message>, Errno> {
    let (number, mut bytes) = (socket.as_fd().number, vec![0; limit]);
    let (read, descriptor) = call("recvmsg", |machine| {
        let read = machine.receive_stream(number, &mut bytes)?;
        Ok((read, machine.receive_program(number).map(OwnedFd)))
    })?;
    bytes.truncate(read);
    Ok((read > 0).then_some(Message { bytes, descriptor }))
}
