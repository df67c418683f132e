// SPDX-License-Identifier: Apache-2.0
//! Descriptors that a process gets from whoever started it, by number; and those that it leaves to
//! its own next life.

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
    take_as(number, FdFlags::CLOEXEC)
}

fn take_as(number: RawFd, flags: FdFlags) -> Result<OwnedFd, Errno> {
    if number < 0 {
        return Err(Errno::BADF);
    }
    // SAFETY: the number is not negative; that it is open is asked of the kernel before it is
    // used, and the forgotten owner closes nothing where it is not.
    let owned = unsafe { OwnedFd::from_raw_fd(number) };
    match rustix::io::fcntl_setfd(&owned, flags) {
        Ok(()) => Ok(owned),
        Err(refusal) => {
            std::mem::forget(owned);
            Err(refusal)
        }
    }
}

/// Gives a descriptor this number, under which it lives on over exec(2). Whatever had it is closed.
///
/// # Errors
/// EMFILE for a number beyond the limit.
pub fn place(descriptor: &OwnedFd, number: RawFd) -> Result<OwnedFd, Errno> {
    if number < 0 {
        return Err(Errno::BADF);
    }
    // SAFETY: the number is not negative, and the kernel makes it open or refuses it; the forgotten
    // owner closes nothing then.
    let mut owned = unsafe { OwnedFd::from_raw_fd(number) };
    match rustix::io::dup2(descriptor, &mut owned) {
        Ok(()) => Ok(owned),
        Err(refusal) => {
            std::mem::forget(owned);
            Err(refusal)
        }
    }
}

/// Takes back what was [`place`]d there in an earlier life; it lives on over the next exec too, which may
/// come at any moment.
///
/// # Errors
/// EBADF where there is none.
pub fn take_back(number: RawFd) -> Result<OwnedFd, Errno> {
    take_as(number, FdFlags::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_placed_is_found_under_its_number_and_stays_open_over_exec() {
        let (reader, writer) = std::io::pipe().unwrap();
        std::mem::forget(place(&OwnedFd::from(writer), 777).unwrap());
        let back = take_back(777).unwrap();
        assert_eq!(rustix::io::fcntl_getfd(&back).unwrap(), FdFlags::empty());
        rustix::io::write(&back, b"x").unwrap();
        let mut byte = [0];
        assert_eq!(rustix::io::read(&reader, &mut byte).unwrap(), 1);
        drop(back);
        assert_eq!(take_back(777).unwrap_err(), Errno::BADF);
    }
}
