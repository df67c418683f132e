// SPDX-License-Identifier: Apache-2.0
//! Descriptors that a process gets from whoever started it, by number.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use rustix::io::{Errno, FdFlags};

/// Takes the descriptor with this number for one's own, closed on exec from now on.
///
/// Call it once for each number, before anything else is opened: two owners would close each
/// other's file.
///
/// # Errors
/// EBADF where there is none.
pub fn take(number: RawFd) -> Result<OwnedFd, Errno> {
    if number < 0 {
        return Err(Errno::BADF);
    }
    // SAFETY: the number is not negative; that it is open is asked of the kernel before it is
    // used, and the forgotten owner closes nothing where it is not.
    let owned = unsafe { OwnedFd::from_raw_fd(number) };
    match rustix::io::fcntl_setfd(&owned, FdFlags::CLOEXEC) {
        Ok(()) => Ok(owned),
        Err(refusal) => {
            std::mem::forget(owned);
            Err(refusal)
        }
    }
}
