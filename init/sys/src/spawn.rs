// SPDX-License-Identifier: Apache-2.0
//! Starts a program as a service wants it: own cgroup, own session, clean signals, no descriptor
//! but those it is given.
//!
//! Everything is prepared before clone3(2); the child only makes system calls. Where it can, it begins
//! its life in its cgroup ([`Place`]).
//!
//! ```text
//! parent: fork ─► write its pid down ─► let_go ──┐ gate
//! child:           waits ◄───────────────────────┘ ─► cgroup, descriptors ─► exec
//! ```
//!
//! A parent that crashes before the pid is written down leaves a child that sees the gate close and
//! ends: nothing runs that nobody knows. Why the program could not be executed comes back over the
//! same socket, which is read when the child has ended: PID 1 never waits for a disk.

use std::ffi::{CString, NulError};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::OnceLock;

use nix::libc;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

/// A program to start.
#[derive(Debug)]
pub struct Program<'a> {
    /// Program and arguments.
    pub command: &'a [String],
    /// `KEY=value` each; nothing else.
    pub environment: &'a [String],
    /// Its cgroup.
    pub place: Place<'a>,
    /// oom_score_adj, -1000 to 1000.
    pub oom_score: i16,
    /// Standard input.
    pub input: BorrowedFd<'a>,
    /// Standard output and error.
    pub output: BorrowedFd<'a>,
    /// Becomes descriptor 3: a worker's channel, or the end that a newline is written to.
    pub third: Option<BorrowedFd<'a>>,
}

/// How a child comes into its cgroup.
#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    /// It stays in its parent's.
    Parents,
    /// It is born there, in this folder. Not where `cgroup.kill` was ever written: the kernel (6.18 was
    /// seen to) then takes the child for one that escaped that kill, and ends it.
    Born(BorrowedFd<'a>),
    /// It moves there, by this `cgroup.procs`: it waits for all CPUs, 20 ms each time (RCU).
    Moves(&'a str),
}

/// A started child.
#[derive(Debug)]
pub struct Child {
    /// Its process.
    pub pid: u32,
    /// Its gate: [`let_go`]; later says why it could not be executed: [`why_not`].
    pub gate: OwnedFd,
}

/// Why no child was made.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// A NUL in a command.
    #[error("an argument holds a NUL byte")]
    Nul(#[from] NulError),
    /// No descriptor for the gate.
    #[error("make its gate")]
    Gate(#[from] rustix::io::Errno),
    /// No process: EAGAIN, ENOMEM.
    #[error("fork")]
    Fork(#[source] std::io::Error),
}

/// All that the child needs, made before it exists.
struct Prepared {
    program: CString,
    _owned: Vec<CString>,
    arguments: Vec<*const libc::c_char>,
    environment: Vec<*const libc::c_char>,
    cgroup_procs: Option<CString>,
    oom_score: CString,
    descriptors: [Option<RawFd>; 4],
    ignored: &'static [libc::c_int],
    gate: RawFd,
    parents_gate: RawFd,
}

/// Makes the child, which waits at its gate.
///
/// # Errors
/// There is no process or descriptor to be had. A program that cannot be executed is a child that
/// ends with status 127: [`why_not`] says why.
pub fn spawn(program: &Program<'_>) -> Result<Child, SpawnError> {
    let (family, kind) = (AddressFamily::UNIX, SocketType::STREAM);
    let (gate, theirs) = rustix::net::socketpair(family, kind, SocketFlags::CLOEXEC, None)?;
    let prepared = prepare(program, theirs.as_raw_fd(), gate.as_raw_fd())?;
    match fork(program.place)? {
        0 => {
            // SAFETY: we are that child.
            unsafe { become_program(&prepared) }
        }
        pid => Ok(Child { pid, gate }),
    }
}

/// fork(2), and born where it shall be; 0 in the child.
fn fork(place: Place<'_>) -> Result<u32, SpawnError> {
    let (flags, cgroup) = match place {
        Place::Born(folder) => (CLONE_INTO_CGROUP, folder.as_raw_fd()),
        Place::Parents | Place::Moves(_) => (0, 0),
    };
    // SAFETY: plain numbers, for which zero means nothing.
    let mut wanted: libc::clone_args = unsafe { std::mem::zeroed() };
    wanted.exit_signal = u64::from(libc::SIGCHLD.cast_unsigned());
    // A fault in the child would execute PID 1's program again.
    wanted.flags = flags | CLONE_CLEAR_SIGHAND;
    wanted.cgroup = u64::from(cgroup.cast_unsigned());
    // SAFETY: the arguments outlive the call. Memory is copied, and the child makes nothing but system
    // calls on what was prepared: it needs no lock that another thread may hold.
    let pid = unsafe {
        libc::syscall(libc::SYS_clone3, &raw const wanted, size_of::<libc::clone_args>())
    };
    u32::try_from(pid).map_err(|_| SpawnError::Fork(std::io::Error::last_os_error()))
}

/// Lets a child through its gate. One that has gone on already, or is gone, is not disturbed.
pub fn let_go(gate: &OwnedFd) {
    let _ = rustix::net::send(gate, &[1], SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
}

/// What a child that ended with status 127 wrote: the errno of the step that failed. It stays there.
#[must_use]
pub fn why_not(gate: &OwnedFd) -> Option<rustix::io::Errno> {
    let mut bytes = [0; 4];
    let (read, _) =
        rustix::net::recv(gate, &mut bytes, RecvFlags::DONTWAIT | RecvFlags::PEEK).ok()?;
    (read == 4).then(|| rustix::io::Errno::from_raw_os_error(i32::from_ne_bytes(bytes)))
}

fn prepare(
    program: &Program<'_>,
    gate: RawFd,
    parents_gate: RawFd,
) -> Result<Prepared, SpawnError> {
    let owned = |texts: &[String]| {
        texts.iter().map(|text| CString::new(text.as_str())).collect::<Result<Vec<_>, _>>()
    };
    let (arguments, environment) = (owned(program.command)?, owned(program.environment)?);
    let pointers = |texts: &[CString]| {
        let mut all: Vec<*const libc::c_char> = texts.iter().map(|text| text.as_ptr()).collect();
        all.push(std::ptr::null());
        all
    };
    let (argument_pointers, environment_pointers) = (pointers(&arguments), pointers(&environment));
    let first = program.command.first().map_or("", String::as_str);
    let third = program.third.map(|descriptor| descriptor.as_raw_fd());
    let (input, output) = (program.input.as_raw_fd(), program.output.as_raw_fd());
    let cgroup_procs = match program.place {
        Place::Moves(path) => Some(CString::new(path)?),
        Place::Parents | Place::Born(_) => None,
    };
    Ok(Prepared {
        program: CString::new(first)?,
        arguments: argument_pointers,
        environment: environment_pointers,
        _owned: arguments.into_iter().chain(environment).collect(),
        cgroup_procs,
        oom_score: CString::new(program.oom_score.to_string())?,
        descriptors: [Some(input), Some(output), Some(output), third],
        ignored: ignored(),
        gate,
        parents_gate,
    })
}

/// The signals that this process ignores, asked once: std ignores SIGPIPE.
fn ignored() -> &'static [libc::c_int] {
    static IGNORED: OnceLock<Vec<libc::c_int>> = OnceLock::new();
    let is_ignored = |signal: &libc::c_int| {
        // The kernel's own struct sigaction, by the raw call: libc refuses the signals that it keeps
        // for itself (32 to 34). SIG_IGN is 1 in its first word.
        let mut action = [0_u64; 4];
        let nothing = std::ptr::null::<u64>();
        // SAFETY: 32 bytes are that structure, and 8 the size of its mask; it outlives the call.
        unsafe {
            libc::syscall(libc::SYS_rt_sigaction, *signal, nothing, action.as_mut_ptr(), 8_usize);
        }
        action.first() == Some(&1)
    };
    IGNORED.get_or_init(|| (1..=64).filter(is_ignored).collect())
}

/// `linux/sched.h`; libc has them for glibc alone.
const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Where the gate lies in the child: above the three standard ones and the fourth.
const GATE_AT: RawFd = 4;

/// Far above all that is duplicated below.
const ABOVE: RawFd = 200;

/// # Safety
/// In a fresh child only: it changes descriptors and signals, and does not return.
unsafe fn become_program(prepared: &Prepared) -> ! {
    // SAFETY: system calls on memory and descriptors that the parent prepared; nothing allocates.
    unsafe {
        let ready = clean_signals(prepared)
            && wait_at_gate(prepared)
            && enter_cgroup(prepared)
            && arrange_descriptors(prepared);
        if ready {
            libc::setsid();
            libc::umask(0o022);
            libc::chdir(c"/".as_ptr());
            libc::execve(
                prepared.program.as_ptr(),
                prepared.arguments.as_ptr(),
                prepared.environment.as_ptr(),
            );
        }
        let errno = *libc::__errno_location();
        let gate = if ready { GATE_AT } else { prepared.gate };
        libc::write(gate, (&raw const errno).cast(), size_of::<libc::c_int>());
        libc::_exit(127)
    }
}

/// What protects PID 1 when memory runs out protects no child.
///
/// # Safety
/// In a fresh child only: it ends where the parent does.
unsafe fn wait_at_gate(prepared: &Prepared) -> bool {
    let mut byte = 0_u8;
    // SAFETY: the descriptors are open and the byte outlives the call. The parent's end is closed
    // here, or its death would not be seen.
    unsafe {
        libc::close(prepared.parents_gate);
        loop {
            match libc::read(prepared.gate, (&raw mut byte).cast(), 1) {
                1 => return true,
                -1 if *libc::__errno_location() == libc::EINTR => {}
                _ => libc::_exit(127),
            }
        }
    }
}

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
    // SAFETY: every number is an open descriptor of the parent's, or is checked; each is first
    // lifted above all targets, so that no target overwrites a source.
    unsafe {
        let gate = libc::fcntl(prepared.gate, libc::F_DUPFD_CLOEXEC, ABOVE);
        let lifted = prepared
            .descriptors
            .map(|from| from.map(|from| libc::fcntl(from, libc::F_DUPFD, ABOVE)));
        for (target, from) in (0..).zip(lifted) {
            match from {
                Some(from) if libc::dup2(from, target) < 0 => return false,
                Some(_) => {}
                None => {
                    libc::close(target);
                }
            }
        }
        libc::dup3(gate, GATE_AT, libc::O_CLOEXEC) >= 0
            && libc::syscall(libc::SYS_close_range, GATE_AT + 1, libc::c_uint::MAX, 0) == 0
    }
}

#[cfg(test)]
mod tests;
