// SPDX-License-Identifier: Apache-2.0
//! A filter of system calls for this process and all that it becomes, seccomp(2).

use nix::libc;
use rustix::io::Errno;

/// One instruction of classic BPF, as the kernel has it (linux/filter.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// What it does.
    pub code: u16,
    /// So many instructions on, where the comparison holds.
    pub jt: u8,
    /// And where it does not.
    pub jf: u8,
    /// Its operand.
    pub k: u32,
}

/// Installs it for the calling thread, for good. With `is_told` each call that it refuses is told in
/// the kernel's log. no_new_privs must be set, or the caller have CAP_SYS_ADMIN.
///
/// # Errors
/// EACCES without either; EINVAL for a program that is none.
pub fn install(program: &[Instruction], is_told: bool) -> Result<(), Errno> {
    let length = u16::try_from(program.len()).map_err(|_| Errno::INVAL)?;
    let given = libc::sock_fprog {
        len: length,
        // The kernel reads it only.
        filter: program.as_ptr().cast_mut().cast::<libc::sock_filter>(),
    };
    let flags = if is_told { libc::SECCOMP_FILTER_FLAG_LOG } else { 0 };
    // SAFETY: `Instruction` is laid out as the kernel's struct sock_filter; pointer and length are
    // those of one slice that outlives the call.
    let done = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const given)
    };
    if done == 0 { Ok(()) } else { Err(last()) }
}

fn last() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_program_is_refused_by_the_kernel() {
        assert_eq!(install(&[], true), Err(Errno::INVAL));
    }
}
