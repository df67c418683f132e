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
    wanted.flags = flags;
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
        gate,
        parents_gate,
    })
}

/// `linux/sched.h`; libc has it for glibc alone.
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
        // Signals first: until then a fault here would execute PID 1's program again.
        let ready = clean_signals()
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
unsafe fn clean_signals() -> bool {
    // SAFETY: 32 zero bytes are the kernel's own struct sigaction for SIG_DFL, and 8 the size of its
    // mask; by the raw call, since libc refuses the signals that it keeps for itself (32 to 34).
    // The set is initialised before its use.
    unsafe {
        let default = [0_u64; 4];
        for signal in 1..=64_i32 {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
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
mod tests {
    use std::io::Read;
    use std::os::fd::AsFd;

    use super::*;

    fn run(command: &[&str], third: Option<BorrowedFd<'_>>) -> (String, Option<rustix::io::Errno>) {
        let command: Vec<String> = command.iter().map(ToString::to_string).collect();
        let null = std::fs::File::open("/dev/null").unwrap();
        let (mut reader, writer) = std::io::pipe().unwrap();
        let program = Program {
            command: &command,
            environment: &["KEY=value".to_owned()],
            place: Place::Parents,
            oom_score: 7,
            input: null.as_fd(),
            output: writer.as_fd(),
            third,
        };
        let child = spawn(&program).unwrap();
        drop(writer);
        let_go(&child.gate);
        let mut said = String::new();
        reader.read_to_string(&mut said).unwrap();
        nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(child.pid.cast_signed()), None).unwrap();
        (said, why_not(&child.gate))
    }

    #[test]
    fn a_program_gets_its_environment_and_oom_score_and_nothing_else() {
        let script = "echo $KEY; cat /proc/self/oom_score_adj; ls /proc/self/fd | wc -l; grep SigIgn /proc/self/status";
        let (said, failure) = run(&["/bin/sh", "-c", script], None);
        // ls itself holds its folder open: three descriptors and that one.
        assert_eq!(said, "value\n7\n4\nSigIgn:\t0000000000000000\n");
        assert_eq!(failure, None);
    }

    #[test]
    fn a_worker_finds_its_channel_as_descriptor_three() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        run(&["/bin/sh", "-c", "echo ready >&3"], Some(writer.as_fd()));
        drop(writer);
        let mut said = String::new();
        reader.read_to_string(&mut said).unwrap();
        assert_eq!(said, "ready\n");
    }

    #[test]
    fn a_program_that_is_not_there_is_told_by_its_errno() {
        assert_eq!(run(&["/no/such/program"], None).1, Some(rustix::io::Errno::NOENT));
    }

    #[test]
    fn a_child_whose_gate_closes_ends_and_has_executed_nothing() {
        let command = ["/bin/sh", "-c", "echo ran"].map(str::to_owned);
        let null = std::fs::File::open("/dev/null").unwrap();
        let (mut reader, writer) = std::io::pipe().unwrap();
        let program = Program {
            command: &command,
            environment: &[],
            place: Place::Parents,
            oom_score: 0,
            input: null.as_fd(),
            output: writer.as_fd(),
            third: None,
        };
        let child = spawn(&program).unwrap();
        drop((writer, child.gate));
        let mut said = String::new();
        reader.read_to_string(&mut said).unwrap();
        assert_eq!(said, "");
        nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(child.pid.cast_signed()), None).unwrap();
    }
}
