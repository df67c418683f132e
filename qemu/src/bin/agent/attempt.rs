// SPDX-License-Identifier: Apache-2.0
//! `kubermesh-agent attempt`: makes a system call of each kind and prints what the kernel answers, a line each.
//!
//! A test has it confined as a service is, and compares the lines with what that service may do. To none of these
//! calls does the kernel itself say EPERM, but to the last: EPERM is the filter's word.

use std::fs::File;
use std::process::Command;

use nix::errno::Errno;
use rustix::fs::Mode;
use rustix::fs::inotify::{self, CreateFlags};
use rustix::io;
use rustix::mount::{MountFlags, UnmountFlags};
use rustix::net::{AddressFamily, SocketType};

/// Makes all of them.
pub(crate) fn all() {
    for (name, call) in CALLS {
        let answer = call().map_or_else(
            |refusal| format!("{:?}", Errno::from_raw(refusal.raw_os_error())),
            |()| "ok".to_owned(),
        );
        println!("{name} {answer}");
    }
}

type Call = fn() -> io::Result<()>;

const CALLS: [(&str, Call); 11] = [
    ("mkdir", || rustix::fs::mkdir(NOWHERE, Mode::RWXU)),
    ("inotify", || inotify::init(CreateFlags::CLOEXEC).map(drop)),
    ("unix", || socket(AddressFamily::UNIX)),
    ("inet", || socket(AddressFamily::INET)),
    ("inet6", || socket(AddressFamily::INET6)),
    ("netlink", || socket(AddressFamily::NETLINK)),
    // TCGETS2; where the kernel finds no terminal, TCGETS too, which everybody may.
    ("terminal", || rustix::termios::tcgetattr(null()?).map(drop)),
    ("disk", || rustix::fs::ioctl_blksszget(null()?).map(drop)),
    ("program", || {
        let ended = Command::new("/usr/bin/busybox").arg("true").status();
        ended
            .map(drop)
            .map_err(|refusal| io::Errno::from_io_error(&refusal).unwrap_or(io::Errno::IO))
    }),
    // The place is looked for before the capability.
    ("mount-nowhere", || mount(NOWHERE)),
    ("mount", || {
        mount(FREE)?;
        rustix::mount::unmount(FREE, UnmountFlags::empty())
    }),
];

fn socket(family: AddressFamily) -> io::Result<()> {
    rustix::net::socket(family, SocketType::DGRAM, None).map(drop)
}

fn mount(place: &str) -> io::Result<()> {
    rustix::mount::mount("tmpfs", place, "tmpfs", MountFlags::empty(), None)
}

/// Neither a terminal nor a disk: what is asked of it changes nothing.
fn null() -> io::Result<File> {
    let opened = File::open("/dev/null");
    opened.map_err(|refusal| io::Errno::from_io_error(&refusal).unwrap_or(io::Errno::IO))
}

/// Its folder is not there either.
const NOWHERE: &str = "/nowhere/here";
/// A folder of the image on which nothing is mounted.
const FREE: &str = "/boot";
