// SPDX-License-Identifier: Apache-2.0
//! A pair of SEQPACKET sockets: messages keep their bounds, may carry one descriptor, and the
//! other end's death is an end of file (unix(7)).

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

/// A message that came.
#[derive(Debug)]
pub struct Message {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The descriptor that came with it.
    pub descriptor: Option<OwnedFd>,
}

/// Makes both ends, closed on exec and non-blocking.
///
/// # Errors
/// EMFILE, ENFILE, ENOMEM.
pub fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
}

/// Sends one message, never waiting.
///
/// # Errors
/// EAGAIN while the other end does not read, EPIPE when it is gone, EMSGSIZE.
pub fn send(
    socket: &impl AsFd,
    bytes: &[u8],
    descriptor: Option<BorrowedFd<'_>>,
) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let attached = descriptor.map(|descriptor| [descriptor]);
    if let Some(attached) = &attached {
        ancillary.push(SendAncillaryMessage::ScmRights(attached));
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, flags).map(|_| ())
}

/// Takes one message of at most `limit` bytes, never waiting; none at the end of file.
///
/// # Errors
/// EAGAIN while there is none, EMSGSIZE for a longer one (which is then gone).
pub fn receive(socket: &impl AsFd, limit: usize) -> Result<Option<Message>, Errno> {
    let mut bytes = vec![0; limit];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let heard =
        rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, flags)?;
    let mut descriptor = None;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            descriptor = descriptors.last().or(descriptor);
        }
    }
    if heard.flags.contains(ReturnFlags::TRUNC) {
        return Err(Errno::MSGSIZE);
    }
    if heard.bytes == 0 && descriptor.is_none() {
        return Ok(None);
    }
    bytes.truncate(heard.bytes);
    bytes.shrink_to_fit();
    Ok(Some(Message { bytes, descriptor }))
}

/// The next message of at most `limit` bytes, without its descriptor; none at the end of file. It
/// stays until it is [`pass`]ed: who crashes in between finds it again.
///
/// # Errors
/// EAGAIN while there is none, EMSGSIZE for a longer one.
pub fn peek(socket: &impl AsFd, limit: usize) -> Result<Option<Vec<u8>>, Errno> {
    // The kernel says how long it is, and no more memory is taken than that.
    let flags = RecvFlags::DONTWAIT | RecvFlags::PEEK;
    let length = rustix::net::recv(socket, &mut [0; 0], flags | RecvFlags::TRUNC)?.1;
    if length > limit {
        return Err(Errno::MSGSIZE);
    }
    let mut bytes = vec![0; length];
    let (read, _) = rustix::net::recv(socket, &mut bytes, flags)?;
    Ok((read > 0).then_some(bytes))
}

/// Takes the next message away.
pub fn pass(socket: &impl AsFd) {
    let _ = rustix::net::recv(socket, &mut [0; 1], RecvFlags::DONTWAIT);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_arrives_whole_with_its_descriptor_and_then_the_end() {
        let (left, right) = pair().unwrap();
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        send(&left, b"one", Some(reader.as_fd())).unwrap();
        send(&left, b"two", None).unwrap();
        let one = receive(&right, 64).unwrap().unwrap();
        let two = receive(&right, 64).unwrap().unwrap();
        assert_eq!(
            (one.bytes.as_slice(), two.bytes.as_slice()),
            (b"one".as_slice(), b"two".as_slice())
        );
        rustix::io::write(&writer, b"x").unwrap();
        let mut byte = [0];
        assert_eq!(rustix::io::read(one.descriptor.unwrap(), &mut byte).unwrap(), 1);
        assert_eq!(receive(&right, 64).unwrap_err(), Errno::AGAIN);
        drop(left);
        assert!(receive(&right, 64).unwrap().is_none());
    }

    #[test]
    fn a_message_that_is_too_long_is_an_error_and_not_half_a_message() {
        let (left, right) = pair().unwrap();
        send(&left, &[7; 100], None).unwrap();
        assert_eq!(receive(&right, 64).unwrap_err(), Errno::MSGSIZE);
    }

    #[test]
    fn a_message_is_there_until_it_is_passed() {
        let (left, right) = pair().unwrap();
        assert_eq!(peek(&right, 64).unwrap_err(), Errno::AGAIN);
        send(&left, b"one", None).unwrap();
        send(&left, b"two", None).unwrap();
        for _ in 0..2 {
            assert_eq!(peek(&right, 64).unwrap().unwrap(), b"one");
        }
        pass(&right);
        assert_eq!(peek(&right, 64).unwrap().unwrap(), b"two");
        assert_eq!(peek(&right, 2).unwrap_err(), Errno::MSGSIZE);
        pass(&right);
        drop(left);
        assert_eq!(peek(&right, 64).unwrap(), None);
    }
}
