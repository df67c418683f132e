// SPDX-License-Identifier: Apache-2.0
//! Starts a program as a service wants it: own cgroup, own session, clean signals, no descriptor
//! but those it is given.
//!
//! Everything is prepared before clone3(2); the child only makes system calls. Where it can, it begins
//! its life in its cgroup ([`Place`]).
//!
//! ```text
//! parent: lend ─► fork ─► write its pid down ─► let_go ──────────────────┐ gate
//! child:             own table ─► cgroup, descriptors, session ─► waits ◄┘ ─► exec
//! ```
//!
//! A parent that crashes before the pid is written down leaves a child that sees the gate close and
//! ends: nothing runs that nobody knows. Why the program could not be executed comes back over the
//! same socket, which is read when the child has ended: PID 1 never waits for a disk.
//!
//! PID 1 holds thousands of descriptors: to copy them all for a child that closes them again takes longer
//! than all else. [`spawn_lending`] makes a child that shares them until it has copied the few that it is
//! lent (close_range(2), `CLOSE_RANGE_UNSHARE`), and until then those stay open: docs/decisions/0017-lent-descriptors.md.

mod child;

use std::ffi::{CString, NulError};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::OnceLock;

use nix::libc;
use rustix::io::Errno;
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

/// What a child was lent: copies of its descriptors in its parent's table. Dropped, they are closed: not before
/// the child [has a table of its own](has_own_table), or has ended.
#[derive(Debug)]
pub struct Lent {
    input: OwnedFd,
    output: OwnedFd,
    third: Option<OwnedFd>,
    gate: OwnedFd,
}

/// The status with which a child ends whose program could not be executed, as a shell's would.
pub const NOT_EXECUTED: i32 = 127;

/// Why no child was made.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// A NUL in a command.
    #[error("an argument holds a NUL byte")]
    Nul(#[from] NulError),
    /// No descriptor for the gate, or for a copy.
    #[error("make its gate")]
    Gate(#[from] Errno),
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
    /// The first number above all that it needs.
    above: RawFd,
    /// It shares its parent's table until it says that it has its own.
    is_lent: bool,
}

/// Makes the child, which waits at its gate.
///
/// # Errors
/// There is no process or descriptor to be had. A program that cannot be executed is a child that
/// ends with status [`NOT_EXECUTED`]: [`why_not`] says why.
pub fn spawn(program: &Program<'_>) -> Result<Child, SpawnError> {
    make(program, false).map(|(child, _)| child)
}

/// The same, for a parent with many descriptors: keep what it was lent until it [`has_own_table`].
///
/// # Errors
/// As [`spawn`].
pub fn spawn_lending(program: &Program<'_>) -> Result<(Child, Lent), SpawnError> {
    make(program, true)
}

fn make(program: &Program<'_>, is_lent: bool) -> Result<(Child, Lent), SpawnError> {
    let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
    let (gate, theirs) = rustix::net::socketpair(family, kind, SocketFlags::CLOEXEC, None)?;
    let lent = Lent::new(program, &theirs)?;
    let prepared = Prepared { is_lent, ..prepare(program, &lent, gate.as_raw_fd())? };
    match fork(program.place, is_lent)? {
        0 => {
            // SAFETY: we are that child.
            unsafe { child::become_program(&prepared) }
        }
        pid => Ok((Child { pid, gate }, lent)),
    }
}

impl Lent {
    fn new(program: &Program<'_>, gate: &OwnedFd) -> Result<Self, Errno> {
        let lend = |from| rustix::io::fcntl_dupfd_cloexec(from, LENT_FROM);
        let third = program.third.map(lend).transpose()?;
        let (input, output) = (lend(program.input)?, lend(program.output)?);
        Ok(Self { input, output, third, gate: lend(gate.as_fd())? })
    }

    fn numbers(&self) -> [Option<RawFd>; 4] {
        let (input, output) = (self.input.as_raw_fd(), self.output.as_raw_fd());
        [Some(input), Some(output), Some(output), self.third.as_ref().map(AsRawFd::as_raw_fd)]
    }
}

/// fork(2), and born where it shall be; 0 in the child.
fn fork(place: Place<'_>, is_lent: bool) -> Result<u32, SpawnError> {
    let flags = if is_lent { libc::CLONE_FILES.cast_unsigned().into() } else { 0 };
    let (flags, cgroup) = match place {
        Place::Born(folder) => (flags | CLONE_INTO_CGROUP, folder.as_raw_fd()),
        Place::Parents | Place::Moves(_) => (flags, 0),
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

/// How often a word through a gate is tried.
const TRIES: u8 = 16;

/// Lets a child through its gate. One that has gone on already, or is gone, is not disturbed.
pub fn let_go(gate: &OwnedFd) {
    // Memory may be short for a moment, and who is not let go stands there until its service is late.
    for _ in 0..TRIES {
        if rustix::net::send(gate, &[1], SendFlags::NOSIGNAL | SendFlags::DONTWAIT).is_ok() {
            return;
        }
    }
}

/// Whether the child has said that it looks no longer at what it was lent. Answers so once.
#[must_use]
pub fn has_own_table(gate: &OwnedFd) -> bool {
    let word = |flags| rustix::net::recv(gate, &mut [0; 4], flags | RecvFlags::DONTWAIT);
    // Of four bytes is why it could not be executed, which stays there.
    matches!(word(RecvFlags::PEEK), Ok((1, _))) && matches!(word(RecvFlags::empty()), Ok((1, _)))
}

/// What a child that ended with status [`NOT_EXECUTED`] wrote: the errno of the step that failed. It stays there.
#[must_use]
pub fn why_not(gate: &OwnedFd) -> Option<Errno> {
    let peek = || {
        let mut bytes = [0; 4];
        let flags = RecvFlags::DONTWAIT | RecvFlags::PEEK;
        rustix::net::recv(gate, &mut bytes, flags).ok().map(|(read, _)| (read, bytes))
    };
    // It has ended with the word that lets it go unread, which the kernel tells once, before all else (unix(7)).
    let (mut read, mut bytes) = peek().or_else(peek)?;
    // Nobody has asked for that word of its.
    if read == 1 && has_own_table(gate) {
        (read, bytes) = peek()?;
    }
    (read == 4).then(|| Errno::from_raw_os_error(i32::from_ne_bytes(bytes)))
}

fn prepare(
    program: &Program<'_>,
    lent: &Lent,
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
    let (descriptors, gate) = (lent.numbers(), lent.gate.as_raw_fd());
    let highest = descriptors.into_iter().flatten().fold(gate, RawFd::max);
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
        descriptors,
        ignored: ignored(),
        gate,
        parents_gate,
        above: highest.saturating_add(1),
        is_lent: false,
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

/// Above all descriptors of a program that begins: none of them overwrites what a child was lent.
const LENT_FROM: RawFd = 16;

#[cfg(test)]
mod tests;
