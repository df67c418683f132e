// SPDX-License-Identifier: Apache-2.0
//! A file that is only in memory, memfd_create(2).

use std::ffi::CStr;

use rustix::fs::MemfdFlags;

use crate::descriptor::{AsFd, OwnedFd, RawFd};
use crate::{Errno, inherited};

/// Makes one, closed on exec. It may be sealed.
///
/// # Errors
/// EMFILE, ENOMEM.
pub fn anonymous(name: &CStr) -> Result<OwnedFd, Errno> {
    rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)
}

/// Makes one at `number`, where it lives on over exec(2).
///
/// # Errors
/// EMFILE, ENOMEM.
pub fn create(name: &CStr, number: RawFd) -> Result<OwnedFd, Errno> {
    inherited::place(&anonymous(name)?, number)
}

/// Writes at this place, all of it.
///
/// # Errors
/// ENOSPC, ENOMEM.
pub fn write_at(memory: &impl AsFd, bytes: &[u8], at: u64) -> Result<(), Errno> {
    let written = rustix::io::pwrite(memory, bytes, at)?;
    if written < bytes.len() { Err(Errno::NOSPC) } else { Ok(()) }
}

/// Reads from this place; how much there was.
///
/// # Errors
/// EBADF.
pub fn read_at(memory: &impl AsFd, bytes: &mut [u8], at: u64) -> Result<usize, Errno> {
    rustix::io::pread(memory, bytes, at)
}
