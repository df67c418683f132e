// SPDX-License-Identifier: Apache-2.0
//! The kernel's news of devices, to wait for one instead of asking again and again.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};

use crate::error::StorageError;

/// A subscription to the kernel's own uevents (netlink(7), NETLINK_KOBJECT_UEVENT).
#[derive(Debug)]
pub(crate) struct Uevents {
    socket: OwnedFd,
}

impl Uevents {
    /// Subscribes. Look at sysfs after this, not before, and nothing is missed.
    pub(crate) fn listen() -> Result<Self, StorageError> {
        let attempt = || {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let (family, kind) = (AddressFamily::NETLINK, SocketType::DGRAM);
            let socket = rustix::net::socket_with(family, kind, flags, Some(KOBJECT_UEVENT))?;
            rustix::net::bind(&socket, &SocketAddrNetlink::new(0, KERNEL_GROUP))?;
            Ok(Self { socket })
        };
        let told = |source| StorageError::System { attempt: "listen for new devices", source };
        attempt().map_err(told)
    }

    /// Waits until something of `subsystem` happens; false when `until` comes first.
    pub(crate) fn wait(&self, subsystem: &str, until: Instant) -> bool {
        let wanted = format!("SUBSYSTEM={subsystem}");
        loop {
            if self.heard(wanted.as_bytes()) {
                return true;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let mut source = [PollFd::new(&self.socket, PollFlags::IN)];
            if poll(&mut source, Some(&timespec(left))).is_err_and(|refusal| refusal != Errno::INTR)
            {
                return false;
            }
        }
    }

    /// Takes all news; whether any is of this kind. News that were lost may have been.
    fn heard(&self, wanted: &[u8]) -> bool {
        let mut message = [0; LONGEST];
        let mut is_heard = false;
        loop {
            match rustix::net::recv(&self.socket, &mut message[..], RecvFlags::DONTWAIT) {
                Ok((length, _)) => {
                    let said = message.get(..length).unwrap_or_default();
                    is_heard |= said.split(|byte| *byte == 0).any(|word| word == wanted);
                }
                Err(Errno::NOBUFS) => is_heard = true,
                Err(_) => return is_heard,
            }
        }
    }
}

/// The moment one span later.
pub(crate) fn later(moment: Instant, span: Duration) -> Instant {
    moment.checked_add(span).unwrap_or(moment)
}

fn timespec(span: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(span.subsec_nanos()),
    }
}

/// 1 is the kernel; 2 would be what udev adds.
const KERNEL_GROUP: u32 = 1;
/// UEVENT_BUFFER_SIZE, linux/kobject.h, with its head.
const LONGEST: usize = 4096;
