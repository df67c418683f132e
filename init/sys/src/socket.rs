// SPDX-License-Identifier: Apache-2.0
//! Stream sockets with a name in the file system, unix(7), the listener's side. Nothing here waits.

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sockopt,
};

use crate::Errno;
use crate::descriptor::{AsFd, OwnedFd};

/// Connections that wait to be taken.
const BACKLOG: i32 = 64;

/// Listens at `path`; anyone may connect.
///
/// # Errors
/// EADDRINUSE where the name exists, ENOENT where its folder does not.
pub fn listen(path: &str) -> Result<OwnedFd, Errno> {
    let socket = named(path, SocketType::STREAM)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// A socket with a name, to which anyone may write.
pub(crate) fn named(path: &str, kind: SocketType) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, kind, flags, None)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::fs::chmod(path, rustix::fs::Mode::from_raw_mode(0o666))?;
    Ok(socket)
}

/// Takes the next connection.
///
/// # Errors
/// EAGAIN while there is none, EMFILE.
pub fn accept(listener: &impl AsFd) -> Result<OwnedFd, Errno> {
    rustix::net::accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)
}

/// Whether root connected, SO_PEERCRED.
#[must_use]
pub fn is_root(socket: &impl AsFd) -> bool {
    sockopt::socket_peercred(socket).is_ok_and(|credentials| credentials.uid.is_root())
}

/// Takes what is there, up to the length of `bytes`; 0 when the other end has closed.
///
/// # Errors
/// EAGAIN while there is nothing, ECONNRESET.
pub fn receive(socket: &impl AsFd, bytes: &mut [u8]) -> Result<usize, Errno> {
    rustix::net::recv(socket, bytes, RecvFlags::DONTWAIT).map(|(read, _)| read)
}

/// Sends as much as there is room for.
///
/// # Errors
/// EAGAIN where there is none, EPIPE when the other end has closed.
pub fn send(socket: &impl AsFd, bytes: &[u8]) -> Result<usize, Errno> {
    rustix::net::send(socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
}
