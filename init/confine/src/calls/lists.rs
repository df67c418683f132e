// SPDX-License-Identifier: Apache-2.0
//! The lists, by purpose. A newer libc may use other calls for the same: a list therefore has the
//! old and the new form of each.
#![allow(
    clippy::unnecessary_cast,
    reason = "an ioctl's number is an i32 in musl's headers and a u64 in glibc's"
)]

use kubermesh_node::service::privileges::Purpose;
use nix::libc;

/// A call that is allowed, perhaps with one argument bound.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub(super) call: i64,
    pub(super) argument: Option<Argument>,
}

/// What an argument must be; each begins with its number.
#[derive(Clone, Copy, Debug)]
pub(super) enum Argument {
    Is(u8, u64),
    /// Of the bits of a mask, these.
    Masked(u8, u64, u64),
    IsOwnProcess(u8),
}

/// The lists of these purposes, that of every program first.
pub(super) fn of(purposes: &[Purpose]) -> Vec<&'static [Rule]> {
    let mut all: Vec<&'static [Rule]> = vec![EVERY_PROGRAM];
    let is_socket =
        |purpose: &Purpose| matches!(purpose, Purpose::Unix | Purpose::Internet | Purpose::Netlink);
    if purposes.iter().any(is_socket) {
        all.push(SOCKETS);
    }
    all.extend(purposes.iter().map(|purpose| match purpose {
        Purpose::Files => FILES,
        Purpose::Watching => WATCHING,
        Purpose::Unix => UNIX,
        Purpose::Internet => INTERNET,
        Purpose::Netlink => NETLINK,
        Purpose::Terminals => TERMINALS,
        Purpose::Lights => LIGHTS,
        Purpose::Disks => DISKS,
        Purpose::Mounts => MOUNTS,
        Purpose::Programs => PROGRAMS,
    }));
    all
}

const fn any(call: i64) -> Rule {
    Rule { call, argument: None }
}

const fn only(call: i64, argument: Argument) -> Rule {
    Rule { call, argument: Some(argument) }
}

/// The kernel looks at 32 bits of it; in musl's headers the highest of them is a sign.
const fn request(number: u64) -> Rule {
    only(libc::SYS_ioctl, Argument::Is(1, number & 0xffff_ffff))
}

const fn family(number: u64) -> Rule {
    only(libc::SYS_socket, Argument::Is(0, number))
}

#[rustfmt::skip]
const EVERY_PROGRAM: &[Rule] = &[
    // The launcher becomes it. What it could become then is in the image, and as confined.
    any(libc::SYS_execve), any(libc::SYS_exit), any(libc::SYS_exit_group), any(libc::SYS_arch_prctl),
    any(libc::SYS_set_tid_address), any(libc::SYS_set_robust_list), any(libc::SYS_get_robust_list), any(libc::SYS_rseq),
    // Memory: what is written is never executed.
    any(libc::SYS_brk), any(libc::SYS_munmap), any(libc::SYS_mremap), any(libc::SYS_madvise), any(libc::SYS_membarrier),
    only(libc::SYS_mmap, Argument::Masked(2, WRITE_AND_EXECUTE, 0)),
    only(libc::SYS_mmap, Argument::Masked(2, WRITE_AND_EXECUTE, WRITE)),
    only(libc::SYS_mmap, Argument::Masked(2, WRITE_AND_EXECUTE, EXECUTE)),
    only(libc::SYS_mprotect, Argument::Masked(2, EXECUTE, 0)),
    // Threads, no processes and no namespaces.
    only(libc::SYS_clone, Argument::Masked(0, NEW_NAMESPACE | libc::CLONE_THREAD as u64, libc::CLONE_THREAD as u64)),
    any(libc::SYS_clone3), any(libc::SYS_futex), any(libc::SYS_gettid), any(libc::SYS_sched_yield), any(libc::SYS_sched_getaffinity),
    // Its name; and what libraries ask of themselves: may it be dumped, what the kernel told it, no huge pages.
    only(libc::SYS_prctl, Argument::Is(0, libc::PR_SET_NAME as u64)), only(libc::SYS_prctl, Argument::Is(0, libc::PR_GET_DUMPABLE as u64)),
    only(libc::SYS_prctl, Argument::Is(0, PR_GET_AUXV)), only(libc::SYS_prctl, Argument::Is(0, libc::PR_SET_THP_DISABLE as u64)),
    // Signals, to itself alone: another process of root's could be ended without any capability.
    any(libc::SYS_rt_sigaction), any(libc::SYS_rt_sigprocmask), any(libc::SYS_rt_sigreturn), any(libc::SYS_sigaltstack),
    any(libc::SYS_signalfd4), any(libc::SYS_restart_syscall),
    only(libc::SYS_kill, Argument::IsOwnProcess(0)), only(libc::SYS_tkill, Argument::IsOwnProcess(0)), only(libc::SYS_tgkill, Argument::IsOwnProcess(0)),
    // Who and where it is.
    any(libc::SYS_getpid), any(libc::SYS_getppid), any(libc::SYS_getuid), any(libc::SYS_geteuid), any(libc::SYS_getgid), any(libc::SYS_getegid),
    any(libc::SYS_uname), any(libc::SYS_sysinfo), any(libc::SYS_getrandom), any(libc::SYS_getcwd), any(libc::SYS_chdir),
    only(libc::SYS_prlimit64, Argument::Is(0, 0)), any(libc::SYS_getrlimit), any(libc::SYS_getrusage),
    // Time.
    any(libc::SYS_clock_gettime), any(libc::SYS_clock_getres), any(libc::SYS_clock_nanosleep), any(libc::SYS_nanosleep),
    any(libc::SYS_gettimeofday), any(libc::SYS_time),
    any(libc::SYS_timerfd_create), any(libc::SYS_timerfd_settime), any(libc::SYS_timerfd_gettime),
    any(libc::SYS_timer_create), any(libc::SYS_timer_settime), any(libc::SYS_timer_delete),
    // Waiting.
    any(libc::SYS_poll), any(libc::SYS_ppoll), any(libc::SYS_select), any(libc::SYS_pselect6), any(libc::SYS_pause),
    any(libc::SYS_epoll_create1), any(libc::SYS_epoll_ctl), any(libc::SYS_epoll_wait), any(libc::SYS_epoll_pwait), any(libc::SYS_epoll_pwait2),
    any(libc::SYS_eventfd2), any(libc::SYS_pipe), any(libc::SYS_pipe2),
    // Descriptors.
    any(libc::SYS_read), any(libc::SYS_write), any(libc::SYS_readv), any(libc::SYS_writev), any(libc::SYS_pread64), any(libc::SYS_pwrite64),
    any(libc::SYS_close), any(libc::SYS_close_range), any(libc::SYS_lseek), any(libc::SYS_fcntl), any(libc::SYS_dup), any(libc::SYS_dup2), any(libc::SYS_dup3),
    request(libc::FIONBIO as u64), request(libc::FIONREAD as u64), request(libc::FIOCLEX as u64),
    request(libc::TIOCGWINSZ as u64), request(libc::TCGETS as u64),
    // Reading: what may be opened for writing is the view's part.
    any(libc::SYS_open), any(libc::SYS_openat), any(libc::SYS_stat), any(libc::SYS_fstat), any(libc::SYS_lstat), any(libc::SYS_newfstatat), any(libc::SYS_statx),
    any(libc::SYS_access), any(libc::SYS_faccessat), any(libc::SYS_faccessat2), any(libc::SYS_readlink), any(libc::SYS_readlinkat),
    any(libc::SYS_getdents64), any(libc::SYS_statfs), any(libc::SYS_fstatfs), any(libc::SYS_fadvise64), any(libc::SYS_umask),
];

#[rustfmt::skip]
const FILES: &[Rule] = &[
    any(libc::SYS_mkdir), any(libc::SYS_mkdirat), any(libc::SYS_rmdir), any(libc::SYS_unlink), any(libc::SYS_unlinkat),
    any(libc::SYS_symlink), any(libc::SYS_symlinkat), any(libc::SYS_rename), any(libc::SYS_renameat), any(libc::SYS_renameat2), any(libc::SYS_chmod), any(libc::SYS_fchmod), any(libc::SYS_fchmodat),
    any(libc::SYS_ftruncate), any(libc::SYS_fallocate), any(libc::SYS_fsync), any(libc::SYS_fdatasync), any(libc::SYS_utimensat),
];

#[rustfmt::skip]
const WATCHING: &[Rule] = &[
    any(libc::SYS_inotify_init1), any(libc::SYS_inotify_add_watch), any(libc::SYS_inotify_rm_watch),
];

/// What is done with a socket of any family.
#[rustfmt::skip]
const SOCKETS: &[Rule] = &[
    any(libc::SYS_bind), any(libc::SYS_listen), any(libc::SYS_accept), any(libc::SYS_accept4), any(libc::SYS_connect), any(libc::SYS_shutdown),
    any(libc::SYS_sendto), any(libc::SYS_sendmsg), any(libc::SYS_sendmmsg), any(libc::SYS_recvfrom), any(libc::SYS_recvmsg), any(libc::SYS_recvmmsg),
    any(libc::SYS_getsockopt), any(libc::SYS_setsockopt), any(libc::SYS_getsockname), any(libc::SYS_getpeername),
];

#[rustfmt::skip]
const UNIX: &[Rule] = &[
    family(libc::AF_UNIX as u64), only(libc::SYS_socketpair, Argument::Is(0, libc::AF_UNIX as u64)),
    // An entry for the log that fits no datagram goes there as a file in memory.
    any(libc::SYS_memfd_create),
];

const INTERNET: &[Rule] = &[family(libc::AF_INET as u64), family(libc::AF_INET6 as u64)];

const NETLINK: &[Rule] = &[family(libc::AF_NETLINK as u64)];

/// termios(3), in the old form and in the new one that knows any speed. Not among them: TIOCSTI,
/// which types for others.
#[rustfmt::skip]
const TERMINALS: &[Rule] = &[
    request(libc::TCSETS as u64), request(libc::TCSETSW as u64), request(libc::TCSETSF as u64), request(libc::TCFLSH as u64),
    request(libc::TCGETS2 as u64), request(libc::TCSETS2 as u64), request(libc::TCSETSW2 as u64), request(libc::TCSETSF2 as u64),
];

/// Every request of hidraw, linux/hidraw.h: the letter H, a number, a length.
const LIGHTS: &[Rule] = &[only(libc::SYS_ioctl, Argument::Masked(1, 0xff00, 0x4800))];

#[rustfmt::skip]
const DISKS: &[Rule] = &[
    // Every request of block devices, linux/fs.h and linux/blkpg.h.
    only(libc::SYS_ioctl, Argument::Masked(1, 0xff00, 0x1200)),
    // libblkid asks whether it is a CD or a floppy: CDROM_GET_CAPABILITY, CDROM_LAST_WRITTEN, FDGETFDCSTAT.
    request(0x5331), request(0x5395), request(0x8028_0215),
];

#[rustfmt::skip]
const MOUNTS: &[Rule] = &[
    any(libc::SYS_mount), any(libc::SYS_umount2), any(libc::SYS_fsopen), any(libc::SYS_fsconfig), any(libc::SYS_fsmount),
    any(libc::SYS_move_mount), any(libc::SYS_fspick), any(libc::SYS_open_tree), any(libc::SYS_mount_setattr),
    any(libc::SYS_sync), any(libc::SYS_syncfs),
];

/// They inherit the filter. Of signals only the one that ends them: which process it meets no filter can know.
#[rustfmt::skip]
const PROGRAMS: &[Rule] = &[
    any(libc::SYS_fork), any(libc::SYS_vfork), only(libc::SYS_clone, Argument::Masked(0, NEW_NAMESPACE, 0)),
    any(libc::SYS_wait4), any(libc::SYS_waitid), any(libc::SYS_pidfd_open),
    only(libc::SYS_kill, Argument::Is(1, libc::SIGKILL as u64)), only(libc::SYS_pidfd_send_signal, Argument::Is(1, libc::SIGKILL as u64)),
];

/// linux/prctl.h; libc does not name it.
const PR_GET_AUXV: u64 = 0x4155_5856;
const WRITE: u64 = libc::PROT_WRITE as u64;
const EXECUTE: u64 = libc::PROT_EXEC as u64;
const WRITE_AND_EXECUTE: u64 = WRITE | EXECUTE;
/// CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET.
const NEW_NAMESPACE: u64 = 0x7e02_0000;
