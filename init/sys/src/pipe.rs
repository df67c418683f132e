// SPDX-License-Identifier: Apache-2.0
//! Pipes whose reader never waits, pipe(7). Both ends are closed on exec.

use rustix::pipe::PipeFlags;

use crate::Errno;
use crate::descriptor::{AsFd, OwnedFd};

/// Makes a reader that never waits, and a writer that does.
///
/// # Errors
/// EMFILE, ENFILE.
pub fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&reader, true)?;
    Ok((reader, writer))
}

/// Takes what is there, up to the length of `bytes`; 0 when no writer is left.
///
/// # Errors
/// EAGAIN while there is nothing.
pub fn read(reader: &impl AsFd, bytes: &mut [u8]) -> Result<usize, Errno> {
    rustix::io::read(reader, bytes)
}

/// How many bytes there are to read, FIONREAD.
///
/// # Errors
/// EBADF.
pub fn unread(reader: &impl AsFd) -> Result<u64, Errno> {
    rustix::io::ioctl_fionread(reader)
}
