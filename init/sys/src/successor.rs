// SPDX-License-Identifier: Apache-2.0
//! The program that this process is, and the one that it becomes, as open files: execveat(2).

use std::ffi::CStr;

use nix::libc;
use rustix::fs::{Mode, OFlags, SealFlags};

use crate::Errno;
use crate::descriptor::{AsFd, AsRawFd, OwnedFd};

/// The program of this process. It stays what it is, whatever becomes of its name.
///
/// # Errors
/// EMFILE, ENOENT before /proc is there.
pub fn own() -> Result<OwnedFd, Errno> {
    rustix::fs::open("/proc/self/exe", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
}

/// Nobody changes this file in memory any more, not even who holds it open.
///
/// # Errors
/// EINVAL for any other file, EPERM for one that may not be written or sealed, EBUSY while it is mapped to be written.
pub fn seal(program: &impl AsFd) -> Result<(), Errno> {
    let all = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(program, all)
}

/// Becomes this program, with this one argument and no environment. Comes back only with the refusal.
pub fn become_it(program: &OwnedFd, argument: &CStr) -> Errno {
    let arguments = [c"init".as_ptr(), argument.as_ptr(), std::ptr::null()];
    let environment = [std::ptr::null()];
    // SAFETY: the descriptor is open, the texts are NUL-terminated and the lists end in a null.
    unsafe { libc::fexecve(program.as_raw_fd(), arguments.as_ptr(), environment.as_ptr()) };
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_not_written_and_what_is_no_memory_is_not_sealed() {
        let memory = crate::memory::anonymous(c"test").unwrap();
        assert_eq!(crate::memory::write_at(&memory, b"one", 0), Ok(()));
        seal(&memory).unwrap();
        assert_eq!(crate::memory::write_at(&memory, b"two", 0), Err(Errno::PERM));
        assert_eq!(seal(&memory), Err(Errno::PERM));
        assert_eq!(seal(&of_another_kind()), Err(Errno::INVAL));
    }

    fn of_another_kind() -> std::fs::File {
        std::fs::File::options().write(true).open("/dev/null").unwrap()
    }

    #[test]
    fn what_cannot_be_executed_is_told_by_its_errno() {
        let memory = crate::memory::anonymous(c"test").unwrap();
        crate::memory::write_at(&memory, b"no program at all", 0).unwrap();
        assert_eq!(become_it(&memory, c"--take-over"), Errno::NOEXEC);
        assert!(own().is_ok());
    }
}
