// SPDX-License-Identifier: Apache-2.0
//! sd_notify(3), the sender's side: one datagram to `$NOTIFY_SOCKET`.

use std::path::Path;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};

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
