// SPDX-License-Identifier: Apache-2.0
//! sd_notify(3), both sides: one datagram to `$NOTIFY_SOCKET`, which comes with its sender's pid.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::path::Path;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType, sockopt,
};

use crate::Errno;
use crate::descriptor::{AsFd, OwnedFd};

/// Says `words` (`READY=1`, `STATUS=…`) to the socket at `path`.
///
/// # Errors
/// The socket is not there, or its queue is full for the moment (EAGAIN).
pub fn send(path: &Path, words: &str) -> Result<(), Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
    let address = SocketAddrUnix::new(path)?;
    rustix::net::sendto(&socket, words.as_bytes(), SendFlags::NOSIGNAL, &address).map(|_| ())
}

/// Listens at `path`; anyone may speak.
///
/// # Errors
/// EADDRINUSE where the name exists, ENOENT where its folder does not.
pub fn listen(path: &str) -> Result<OwnedFd, Errno> {
    let socket = crate::socket::named(path, SocketType::DGRAM)?;
    sockopt::set_socket_passcred(&socket, true)?;
    Ok(socket)
}

/// Longer words are cut; none that is understood is longer.
const LONGEST: usize = 4096;

/// The next datagram, and its sender's pid (0: nobody known); none for now.
/// It stays until it is [`pass`]ed: who crashes in between finds it again.
#[must_use]
pub fn peek(socket: &impl AsFd) -> Option<(u32, Vec<u8>)> {
    // Not on the heap: it is asked after each end of a process, and mostly there is nothing.
    let mut bytes = [0; LONGEST];
    // No room for descriptors: they are not looked at.
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC | RecvFlags::PEEK;
    let heard =
        rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, flags)
            .ok()?;
    let mut sender = None;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmCredentials(credentials) = message {
            sender = Some(credentials.pid.as_raw_pid().cast_unsigned());
        }
    }
    Some((sender.unwrap_or(0), bytes.get(..heard.bytes)?.to_vec()))
}

/// Takes the next datagram away. A descriptor that came along is closed, which is the answer that
/// BARRIER=1 asks for.
pub fn pass(socket: &impl AsFd) {
    let _ = rustix::net::recv(socket, &mut [0; 1], RecvFlags::DONTWAIT);
}

/// Whether a datagram says `READY=1`, among other lines or alone.
#[must_use]
pub fn says_ready(words: &[u8]) -> bool {
    words.split(|byte| *byte == b'\n').any(|word| word == b"READY=1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_is_there_until_it_is_passed_and_its_descriptor_is_closed_then() {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let kind = SocketType::DGRAM;
        let (ours, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, kind, flags, None).unwrap();
        sockopt::set_socket_passcred(&ours, true).unwrap();
        let (barrier, sent) = std::io::pipe().unwrap();
        crate::seqpacket::send(&theirs, b"BARRIER=1", Some(sent.as_fd())).unwrap();
        crate::seqpacket::send(&theirs, b"READY=1", None).unwrap();
        drop(sent);
        let own = std::process::id();
        for _ in 0..2 {
            assert_eq!(peek(&ours), Some((own, b"BARRIER=1".to_vec())));
        }
        rustix::io::ioctl_fionbio(&barrier, true).unwrap();
        assert_eq!(rustix::io::read(&barrier, &mut [0; 1]), Err(Errno::AGAIN));
        pass(&ours);
        assert_eq!(rustix::io::read(&barrier, &mut [0; 1]), Ok(0));
        assert_eq!(peek(&ours), Some((own, b"READY=1".to_vec())));
        pass(&ours);
        assert_eq!(peek(&ours), None);
    }

    #[test]
    fn ready_is_a_whole_line_of_its_own() {
        for words in [&b"READY=1"[..], b"READY=1\n", b"STATUS=x\nREADY=1\nMAINPID=7"] {
            assert!(says_ready(words), "{words:?}");
        }
        for words in [&b""[..], b"READY=10", b"READY=0", b"XREADY=1", b"READY=1\0", b"READY=1\r\n"]
        {
            assert!(!says_ready(words), "{words:?}");
        }
    }
}
