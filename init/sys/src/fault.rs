// SPDX-License-Identifier: Apache-2.0
//! What PID 1 does when it crashes: it executes itself again, with every descriptor it holds.
//!
//! A PID 1 that ends is a kernel panic; one that executes itself keeps its pid, its children and
//! its descriptors. The handler runs on a stack of its own and makes only system calls on memory
//! that was laid out before.

use std::ffi::{CStr, CString};
use std::sync::atomic::{AtomicI32, Ordering};

use nix::libc;

/// The signals of a fault, each with the words that the next life gets.
const FAULTS: [(libc::c_int, &CStr); 5] = [
    (libc::SIGSEGV, c"SIGSEGV"),
    (libc::SIGBUS, c"SIGBUS"),
    (libc::SIGILL, c"SIGILL"),
    (libc::SIGFPE, c"SIGFPE"),
    // An allocation that fails skips the panic hook and aborts.
    (libc::SIGABRT, c"SIGABRT"),
];

/// The handler's own stack: a stack overflow leaves none. SIGSTKSZ is 8 KiB; exec needs little.
const STACK_BYTES: usize = 16 * 1024;

/// Descriptors below this one are kept over the exec.
const KEPT_BELOW: libc::c_int = 1024;

/// /dev/kmsg, for the one line.
static KERNEL_LOG: AtomicI32 = AtomicI32::new(-1);

/// From now on a panic or a fault executes this program again. Unblocks the faults' signals: one
/// that was blocked at the time of an earlier crash would still be.
///
/// # Errors
/// ENOMEM for the stack.
pub fn install(kernel_log: libc::c_int) -> Result<(), nix::Error> {
    KERNEL_LOG.store(kernel_log, Ordering::Relaxed);
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map_or_else(String::new, |place| format!(" at {}:{}", place.file(), place.line()));
        execute_again(&CString::new(format!("panic{place}")).unwrap_or_default());
    }));
    let stack = Box::leak(vec![0_u8; STACK_BYTES].into_boxed_slice());
    let stack =
        libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: STACK_BYTES };
    // SAFETY: the stack is leaked, so it outlives every handler; the action and the sets are
    // initialised before they are passed, and the handler has the signature that SA_RESTART wants.
    unsafe {
        nix::Error::result(libc::sigaltstack(&raw const stack, std::ptr::null_mut()))?;
        let mut unblocked: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut unblocked);
        for (signal, _) in FAULTS {
            let mut action: libc::sigaction = std::mem::zeroed();
            let handler: extern "C" fn(libc::c_int) = on_fault;
            action.sa_sigaction = handler as libc::sighandler_t;
            action.sa_flags = libc::SA_ONSTACK | libc::SA_NODEFER;
            nix::Error::result(libc::sigaction(signal, &raw const action, std::ptr::null_mut()))?;
            libc::sigaddset(&raw mut unblocked, signal);
        }
        nix::Error::result(libc::sigprocmask(
            libc::SIG_UNBLOCK,
            &raw const unblocked,
            std::ptr::null_mut(),
        ))?;
    }
    Ok(())
}

extern "C" fn on_fault(signal: libc::c_int) {
    let words =
        FAULTS.iter().find(|(number, _)| *number == signal).map_or(c"a fault", |(_, words)| words);
    execute_again(words);
}

/// Executes this program again as `--recover <cause>`, keeping its descriptors. Comes back only
/// when exec itself fails.
fn execute_again(cause: &CStr) {
    // SAFETY: every pointer is a NUL-terminated static or the caller's text; no memory is taken.
    unsafe {
        let log = KERNEL_LOG.load(Ordering::Relaxed);
        let line = c"<2>kubermesh: PID 1 crashed, executes itself again\n";
        libc::write(log, line.as_ptr().cast(), line.count_bytes());
        for descriptor in 3..KEPT_BELOW {
            libc::fcntl(descriptor, libc::F_SETFD, 0);
        }
        let arguments = [c"init".as_ptr(), c"--recover".as_ptr(), cause.as_ptr(), std::ptr::null()];
        let environment = [std::ptr::null()];
        libc::execve(c"/proc/self/exe".as_ptr(), arguments.as_ptr(), environment.as_ptr());
    }
}
