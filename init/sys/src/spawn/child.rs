// SPDX-License-Identifier: Apache-2.0
//! The child's part, from its birth to its exec: system calls on what was prepared, and nothing else.

use std::os::fd::RawFd;

use nix::libc;

use super::{NOT_EXECUTED, Prepared};

/// Where the gate lies in the child: above the three standard ones and the fourth.
const GATE_AT: RawFd = 4;

/// What it says when it [`has_own_table`].
const OWN: &[u8; 1] = b"o";

/// # Safety
/// In a fresh child only: it changes descriptors and signals, and does not return.
pub(super) unsafe fn become_program(prepared: &Prepared) -> ! {
    // SAFETY: system calls on memory and descriptors that the parent prepared; nothing allocates.
    unsafe {
        // All but the program itself: while its pid is written down.
        let is_arranged = clean_signals(prepared)
            && own_table(prepared)
            && enter_cgroup(prepared)
            && arrange_descriptors(prepared);
        if is_arranged {
            libc::setsid();
            libc::umask(0o022);
            libc::chdir(c"/".as_ptr());
            if wait_at_gate() {
                libc::execve(
                    prepared.program.as_ptr(),
                    prepared.arguments.as_ptr(),
                    prepared.environment.as_ptr(),
                );
            }
        }
        let errno = *libc::__errno_location();
        let gate = if is_arranged { GATE_AT } else { prepared.gate };
        libc::write(gate, (&raw const errno).cast(), size_of::<libc::c_int>());
        libc::_exit(NOT_EXECUTED)
    }
}

/// Copies what it was lent and what lies below, where the parent's table is not its own already. Before
/// anything is closed or opened here.
///
/// # Safety
/// In a fresh child only: descriptors are closed.
unsafe fn own_table(prepared: &Prepared) -> bool {
    let (first, last) = (prepared.above.cast_unsigned(), libc::c_uint::MAX);
    // SAFETY: plain numbers, and a byte that outlives the call. The parent's end is closed here, or its
    // death would not be seen.
    unsafe {
        if libc::syscall(libc::SYS_close_range, first, last, libc::CLOSE_RANGE_UNSHARE) != 0 {
            return false;
        }
        libc::close(prepared.parents_gate);
        // Nobody else reads it: and a gate that is closed with something unread in it would reset the child's end,
        // so that it would not find the word that lets it go.
        if prepared.is_lent {
            libc::send(prepared.gate, OWN.as_ptr().cast(), OWN.len(), libc::MSG_NOSIGNAL);
        }
    }
    true
}

/// What protects PID 1 when memory runs out protects no child.
///
/// # Safety
/// In a fresh child only.
unsafe fn enter_cgroup(prepared: &Prepared) -> bool {
    // SAFETY: both paths and both texts are NUL-terminated and outlive the calls.
    unsafe {
        let oom = write_file(c"/proc/self/oom_score_adj".as_ptr(), prepared.oom_score.as_ptr());
        let entered = prepared
            .cgroup_procs
            .as_ref()
            .is_none_or(|path| write_file(path.as_ptr(), c"0".as_ptr()));
        oom && entered
    }
}

/// # Safety
/// Both pointers are NUL-terminated texts.
unsafe fn write_file(path: *const libc::c_char, text: *const libc::c_char) -> bool {
    // SAFETY: as the caller promises; the length is that of the text.
    unsafe {
        let file = libc::open(path, libc::O_WRONLY | libc::O_CLOEXEC);
        if file < 0 {
            return false;
        }
        let written = libc::write(file, text.cast(), libc::strlen(text));
        libc::close(file);
        written > 0
    }
}

/// An ignored signal and a blocked mask survive exec (rust-lang/rust#101077): a service gets neither.
///
/// # Safety
/// In a fresh child only.
unsafe fn clean_signals(prepared: &Prepared) -> bool {
    // SAFETY: 32 zero bytes are the kernel's own struct sigaction for SIG_DFL, and 8 the size of its
    // mask. The set is initialised before its use.
    unsafe {
        let default = [0_u64; 4];
        for signal in prepared.ignored {
            libc::syscall(
                libc::SYS_rt_sigaction,
                *signal,
                default.as_ptr(),
                std::ptr::null::<u64>(),
                8_usize,
            );
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()) == 0
    }
}

/// # Safety
/// In a fresh child only: descriptors are overwritten and closed.
unsafe fn arrange_descriptors(prepared: &Prepared) -> bool {
    // SAFETY: every number is an open descriptor of the child's own, above all targets, so that no target
    // overwrites a source.
    unsafe {
        for (target, from) in (0..).zip(prepared.descriptors) {
            match from {
                Some(from) if libc::dup2(from, target) < 0 => return false,
                Some(_) => {}
                None => {
                    libc::close(target);
                }
            }
        }
        libc::dup3(prepared.gate, GATE_AT, libc::O_CLOEXEC) >= 0
            && libc::syscall(libc::SYS_close_range, GATE_AT + 1, libc::c_uint::MAX, 0) == 0
    }
}

/// # Safety
/// In a fresh child only, behind [`arrange_descriptors`]: it ends where the parent does.
unsafe fn wait_at_gate() -> bool {
    let mut byte = 0_u8;
    // SAFETY: the descriptor is open and the byte outlives the call.
    unsafe {
        loop {
            match libc::read(GATE_AT, (&raw mut byte).cast(), 1) {
                1 => return true,
                -1 if *libc::__errno_location() == libc::EINTR => {}
                0 => libc::_exit(NOT_EXECUTED),
                _ => return false,
            }
        }
    }
}
