// SPDX-License-Identifier: Apache-2.0
//! The datagram sockets of journald and syslog. A sender's process is the kernel's word
//! (SCM_CREDENTIALS, unix(7)); a big entry comes as a sealed memfd (SCM_RIGHTS).

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, SealFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SocketAddrUnix, SocketFlags, SocketType,
};

use kubermesh_sys::interrupt;

use super::{Slice, native, syslog};
use crate::entry::Entry;

/// A socket that takes entries.
#[derive(Debug)]
pub(crate) struct Datagrams {
    socket: OwnedFd,
    language: Language,
    buffer: Vec<u8>,
}

/// What is spoken there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    /// journald's native protocol.
    Journal,
    /// syslog's.
    Syslog,
}

/// Why a socket cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("listen at {path}")]
pub struct SocketError {
    path: PathBuf,
    source: Errno,
}

impl Datagrams {
    /// Listens at `path`; an earlier run's socket is replaced.
    pub(crate) fn listen(path: &Path, language: Language) -> Result<Self, SocketError> {
        let bind = || {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder).map_err(|refusal| errno(&refusal))?;
            }
            match std::fs::remove_file(path) {
                Err(refusal) if refusal.kind() != std::io::ErrorKind::NotFound => {
                    return Err(errno(&refusal));
                }
                Ok(()) | Err(_) => {}
            }
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket =
                rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
            rustix::net::sockopt::set_socket_passcred(&socket, true)?;
            rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
            // Anybody on the node may log.
            rustix::fs::chmod(path, Mode::from_raw_mode(0o666))?;
            Ok(socket)
        };
        bind()
            .map(|socket| Self { socket, language, buffer: Vec::new() })
            .map_err(|source| SocketError { path: path.to_owned(), source })
    }

    /// The next datagram; none for now.
    pub(crate) fn step(&mut self) -> Option<Slice> {
        let slice = match self.receive() {
            Ok(Heard::Entry(entry)) => Some(Slice { entries: vec![entry], dropped: 0 }),
            Ok(Heard::Foreign) => Some(Slice { entries: Vec::new(), dropped: 1 }),
            Ok(Heard::Nothing) => Some(Slice::default()),
            Err(_) => None,
        };
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_KEPT);
        slice
    }

    /// One datagram.
    fn receive(&mut self) -> Result<Heard, Errno> {
        let peek = RecvFlags::PEEK | RecvFlags::TRUNC | RecvFlags::DONTWAIT;
        let (_, length) = rustix::net::recv(&self.socket, &mut [0_u8; 1][..], peek)?;
        self.buffer.resize(length.clamp(1, DATAGRAM_LIMIT), 0);
        // Anybody may have sent anything along.
        interrupt::waits(|| self.take())
    }

    /// Takes it, and closes what came along.
    fn take(&mut self) -> Result<Heard, Errno> {
        let mut space =
            [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1), ScmCredentials(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let mut parts = [IoSliceMut::new(&mut self.buffer)];
        let heard = rustix::net::recvmsg(&self.socket, &mut parts, &mut ancillary, flags)?;
        let (mut pid, mut memory) = (None, None);
        for message in ancillary.drain() {
            match message {
                RecvAncillaryMessage::ScmCredentials(who) => {
                    pid = u32::try_from(who.pid.as_raw_nonzero().get()).ok();
                }
                RecvAncillaryMessage::ScmRights(descriptors) => {
                    memory = descriptors.last().or(memory);
                }
                _ => {}
            }
        }
        let bytes = self.buffer.get(..heard.bytes).unwrap_or_default();
        let entry = match (self.language, memory) {
            (Language::Syslog, _) => Some(syslog::decode(bytes)),
            (Language::Journal, Some(memory)) => {
                read_sealed(&memory).as_deref().and_then(native::decode)
            }
            (Language::Journal, None) if bytes.is_empty() => return Ok(Heard::Nothing),
            (Language::Journal, None) => native::decode(bytes),
        };
        let cut = heard.flags.contains(ReturnFlags::TRUNC);
        let entry = entry.filter(|_| !cut).map(|entry| sent_by(entry, pid));
        Ok(entry.map_or(Heard::Foreign, Heard::Entry))
    }
}

/// What a datagram is.
enum Heard {
    Entry(Entry),
    /// It holds none.
    Foreign,
    /// Nothing was said: so a client of the journal finds out whether the socket is there.
    Nothing,
}

impl AsFd for Datagrams {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn sent_by(mut entry: Entry, pid: Option<u32>) -> Entry {
    entry.pid = pid.or(entry.pid);
    if entry.service.is_empty() {
        let name = pid.and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/comm")).ok());
        let name = name.map_or_else(|| "unknown".to_owned(), |name| name.trim_end().to_owned());
        entry.service = crate::entry::clean(name.as_bytes(), crate::entry::NAME_LIMIT).0;
    }
    entry
}

/// What a memfd holds, at most [`DATAGRAM_LIMIT`] of it. Only one that can no longer be written
/// to is memory for sure: reading a pipe or a file of FUSE may wait for ever.
fn read_sealed(memory: &OwnedFd) -> Option<Vec<u8>> {
    let seals = rustix::fs::fcntl_get_seals(memory).ok()?;
    if !seals.contains(SealFlags::WRITE | SealFlags::SHRINK) {
        return None;
    }
    let size = usize::try_from(rustix::fs::fstat(memory).ok()?.st_size).ok()?;
    let mut bytes = vec![0; size.min(DATAGRAM_LIMIT)];
    let read = rustix::io::pread(memory, &mut bytes, 0).ok()?;
    bytes.truncate(read);
    Some(bytes)
}

fn errno(refusal: &std::io::Error) -> Errno {
    Errno::from_io_error(refusal).unwrap_or(Errno::IO)
}

/// Of one entry, by whatever way it comes: 64 times what is kept of its message.
const DATAGRAM_LIMIT: usize = 1024 * 1024;
/// A usual entry fits; a long one's buffer is given back.
const BUFFER_KEPT: usize = 4 * 1024;
