// SPDX-License-Identifier: Apache-2.0
//! What PID 1 does when it crashes: it executes itself again, with every descriptor that is kept
//! ([`crate::inherited::place`]).
//!
//! ```text
//! fault, panic ─► one line ─► exec ─ fails ─► again, for a second ─► one line, disks, reboot(2)
//!     ▲                        │                                      ▲
//!     └── in the handler too ──┴── the ninth time ────────────────────┘
//! ```
//!
//! A program on trial ([`fall_back_to`]) executes the one before it instead, also when its time is over.
//!
//! A PID 1 that ends is a kernel panic; one that executes itself keeps its pid, its children and
//! its descriptors. The handler runs on a stack of its own and makes only system calls on memory
//! that was laid out before.

use std::cell::UnsafeCell;
use std::ffi::{CStr, CString};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use nix::libc;

/// The signals of a fault, each with the words that the next life gets.
const FAULTS: [(libc::c_int, &CStr); 6] = [
    (libc::SIGSEGV, c"SIGSEGV"),
    (libc::SIGBUS, c"SIGBUS"),
    (libc::SIGILL, c"SIGILL"),
    (libc::SIGFPE, c"SIGFPE"),
    // An allocation that fails skips the panic hook and aborts.
    (libc::SIGABRT, c"SIGABRT"),
    // Means something on trial only: [`limit`].
    (libc::SIGALRM, c"it answered nobody in time"),
];

/// The handler's own stack: a stack overflow leaves none. The kernel puts the registers of the CPU
/// there, up to 11 KiB with AMX, and once more for each fault in the handler. It lies in the program, so
/// that there is one whatever memory there is.
static STACK: Stack = Stack(UnsafeCell::new([0; STACK_BYTES]));
const STACK_BYTES: usize = 128 * 1024;

struct Stack(UnsafeCell<[u8; STACK_BYTES]>);

// SAFETY: only the kernel writes there, and the handler that runs on it.
unsafe impl Sync for Stack {}

/// So many faults and the handler itself is what is broken.
const ENTRIES: u32 = 8;

/// exec(2) is tried so often, a tenth of a second between: memory may be short for a moment.
const EXECUTIONS: u32 = 10;
static TENTH: libc::timespec = libc::timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// The disks get so many tenths of a second, then the machine starts again all the same.
const SYNC_TENTHS: u32 = 150;

/// Faults so far in this life.
static ENTERED: AtomicU32 = AtomicU32::new(0);

/// On trial, the descriptor of the program to go back to.
static FALLBACK: AtomicI32 = AtomicI32::new(-1);

/// /dev/kmsg, for the one line.
static KERNEL_LOG: AtomicI32 = AtomicI32::new(-1);

/// From now on a panic or a fault executes this program again. Unblocks the faults' signals: one
/// that was blocked at the time of an earlier crash would still be.
///
/// # Errors
/// A refusal of the kernel; none is known.
pub fn install(kernel_log: libc::c_int) -> Result<(), nix::Error> {
    KERNEL_LOG.store(kernel_log, Ordering::Relaxed);
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map_or_else(String::new, |place| format!(" at {}:{}", place.file(), place.line()));
        execute_again(&CString::new(format!("panic{place}")).unwrap_or_default());
    }));
    let stack = libc::stack_t { ss_sp: STACK.0.get().cast(), ss_flags: 0, ss_size: STACK_BYTES };
    // SAFETY: the stack is a static, so it outlives every handler; the action and the sets are
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

/// This program is on trial: until [`stay`], it goes back to the one behind this descriptor where it
/// fails or its time is over.
pub fn fall_back_to(program: libc::c_int) {
    FALLBACK.store(program, Ordering::Relaxed);
}

/// A trial ends after so many seconds, alarm(2): whatever is executed meanwhile. 0: never.
pub fn limit(seconds: u32) {
    // SAFETY: a plain system call.
    unsafe { libc::alarm(seconds) };
}

/// The trial is over: this program stays.
pub fn stay() {
    FALLBACK.store(-1, Ordering::Relaxed);
    limit(0);
}

/// Executes the program before this one as `--go-back <cause>`. Comes back where this one is not on
/// trial, or that cannot be done.
pub fn go_back(cause: &CStr) {
    let program = FALLBACK.swap(-1, Ordering::Relaxed);
    if program >= 0 {
        limit(0);
        // SAFETY: the texts are NUL-terminated; no memory is taken.
        unsafe {
            say(c"<2>kubermesh: PID 1 goes back to the program that it was\n");
            execute(Some(program), c"--go-back", cause);
        }
    }
}

extern "C" fn on_fault(signal: libc::c_int) {
    if signal == libc::SIGALRM && FALLBACK.load(Ordering::Relaxed) < 0 {
        return;
    }
    let words =
        FAULTS.iter().find(|(number, _)| *number == signal).map_or(c"a fault", |(_, words)| words);
    execute_again(words);
}

/// Executes this program again as `--recover <cause>`, keeping its descriptors. Where that cannot be
/// done, the machine starts again.
fn execute_again(cause: &CStr) {
    // SAFETY: every pointer is a NUL-terminated static or the caller's text; no memory is taken.
    unsafe {
        if ENTERED.fetch_add(1, Ordering::Relaxed) >= ENTRIES {
            start_machine_again(c"<2>kubermesh: status=failed PID 1 crashes while it executes itself again; the machine starts again\n");
        }
        go_back(cause);
        say(c"<2>kubermesh: PID 1 crashed, executes itself again\n");
        execute(None, c"--recover", cause);
        start_machine_again(c"<2>kubermesh: status=failed PID 1 cannot execute itself again; the machine starts again\n");
    }
}

/// Tries for a second to execute this program or the one behind a descriptor.
///
/// # Safety
/// The texts are NUL-terminated. Only system calls are made: from anywhere.
unsafe fn execute(program: Option<libc::c_int>, word: &CStr, cause: &CStr) {
    let arguments = [c"init".as_ptr(), word.as_ptr(), cause.as_ptr(), std::ptr::null()];
    let environment = [std::ptr::null()];
    for _ in 0..EXECUTIONS {
        // SAFETY: as the caller promises, and both lists end in a null.
        unsafe {
            match program {
                Some(program) => {
                    libc::fexecve(program, arguments.as_ptr(), environment.as_ptr());
                }
                None => {
                    let own = c"/proc/self/exe".as_ptr();
                    libc::execve(own, arguments.as_ptr(), environment.as_ptr());
                }
            }
            libc::nanosleep(&raw const TENTH, std::ptr::null_mut());
        }
    }
}

/// # Safety
/// Only system calls are made: from anywhere.
unsafe fn say(line: &CStr) {
    // SAFETY: the line outlives the call; without an open log the kernel refuses.
    unsafe {
        let log = KERNEL_LOG.load(Ordering::Relaxed);
        libc::write(log, line.as_ptr().cast(), line.count_bytes());
    }
}

/// The last resort of the last resort: says one line, has a child write the disks back, and reboots.
///
/// # Safety
/// In the first process, which ends here.
unsafe fn start_machine_again(line: &CStr) -> ! {
    // SAFETY: system calls without memory of ours. clone(2) by the raw call: libc's fork takes
    // locks that the fault may have hit. Without CLONE_VM the child has a stack of its own.
    unsafe {
        say(line);
        let child = libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0);
        if child == 0 {
            libc::sync();
            libc::_exit(0);
        }
        for _ in 0..SYNC_TENTHS {
            let child = libc::pid_t::try_from(child).unwrap_or(-1);
            if libc::waitpid(child, std::ptr::null_mut(), libc::WNOHANG) != 0 {
                break;
            }
            libc::nanosleep(&raw const TENTH, std::ptr::null_mut());
        }
        libc::reboot(libc::RB_AUTOBOOT);
        libc::_exit(1)
    }
}
