// SPDX-License-Identifier: Apache-2.0
//! Pipes whose reader never waits, pipe(7). Both ends are closed on exec.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, SpliceFlags};

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

/// Whether a write of a byte would not wait. Where it cannot be asked there is room.
pub fn has_room(writer: &impl AsFd) -> bool {
    let mut ends = [PollFd::new(writer, PollFlags::OUT)];
    let asked = poll(&mut ends, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
    asked != Ok(0)
}

/// What is there, up to 4096 bytes, and stays there; empty when no writer is left.
///
/// # Errors
/// EAGAIN while there is nothing, EMFILE.
pub fn peek(reader: &impl AsFd) -> Result<Vec<u8>, Errno> {
    let (copy, writer) = pair()?;
    let count = rustix::pipe::tee(reader, &writer, PAGE, SpliceFlags::NONBLOCK)?;
    let mut bytes = vec![0; count];
    if count > 0 {
        rustix::io::read(&copy, &mut bytes)?;
    }
    Ok(bytes)
}

/// A fresh pipe holds far more.
const PAGE: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_peeked_at_can_still_be_read() {
        let (reader, writer) = pair().unwrap();
        assert_eq!(peek(&reader), Err(Errno::AGAIN));
        rustix::io::write(&writer, b"ok\n").unwrap();
        assert_eq!(peek(&reader).unwrap(), b"ok\n");
        assert_eq!(peek(&reader).unwrap(), b"ok\n");
        let mut bytes = [0; 8];
        assert_eq!(read(&reader, &mut bytes), Ok(3));
        drop(writer);
        assert_eq!(peek(&reader).unwrap(), b"");
    }
}
