// SPDX-License-Identifier: Apache-2.0
//! The kernel's word that a device came, went or changed: NETLINK_KOBJECT_UEVENT, netlink(7).
//!
//! A message is `add@/devices/…` and then `KEY=value`, each ended by a zero byte. No daemon is
//! needed, and the node in /dev is there before its event (driver core: devtmpfs first). Who opens
//! the socket before looking at what is there misses nothing.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};

/// Hears the kernel's events.
#[derive(Debug)]
pub struct Uevents {
    socket: OwnedFd,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uevent {
    /// `ACTION`, `DEVPATH`, `SUBSYSTEM`, `DEVNAME` …, in the order of the kernel.
    pub pairs: Vec<(String, String)>,
}

impl Uevents {
    /// Listens from now on, never waiting. Any user may.
    ///
    /// # Errors
    /// EMFILE, ENFILE; EPROTONOSUPPORT in a kernel without it.
    pub fn open() -> Result<Self, Errno> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let kind = SocketType::RAW;
        let socket =
            rustix::net::socket_with(AddressFamily::NETLINK, kind, flags, Some(KOBJECT_UEVENT))?;
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, FROM_KERNEL))?;
        Ok(Self { socket })
    }

    /// The next event; none for now.
    ///
    /// # Errors
    /// ENOBUFS: events were lost, look at everything anew.
    pub fn receive(&self) -> Result<Option<Uevent>, Errno> {
        let mut bytes = [0; LONGEST];
        loop {
            let heard = rustix::net::recvfrom(&self.socket, &mut bytes, RecvFlags::DONTWAIT);
            let (length, _, sender) = match heard {
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR) => continue,
                other => other?,
            };
            let sender = sender.and_then(|sender| SocketAddrNetlink::try_from(sender).ok());
            // Port 0 is the kernel. A process with CAP_NET_ADMIN can send to this group as well.
            if sender.is_some_and(|sender| sender.pid() == 0) {
                return Ok(Some(Uevent::read(bytes.get(..length).unwrap_or_default())));
            }
        }
    }
}

impl AsFd for Uevents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Uevent {
    /// What the kernel says of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// From one message of the kernel. What is no `KEY=value` in it is left out.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        let words = bytes.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        // The first word, `add@/devices/…`, repeats ACTION and DEVPATH and has no `=` of its own
        // before the `@`.
        let pairs = words.skip(1).filter_map(|word| {
            word.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()))
        });
        Self { pairs: pairs.collect() }
    }
}

/// Multicast group 1 is the kernel's own; group 2 belongs to udev's daemon.
const FROM_KERNEL: u32 = 1;

/// The kernel's own bound is smaller: UEVENT_BUFFER_SIZE, 2 KiB, and the first word.
const LONGEST: usize = 8192;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_its_keys_and_values() {
        let event = Uevent::read(
            b"add@/devices/a=b/hidraw0\0ACTION=add\0SUBSYSTEM=hidraw\0DEVNAME=hidraw0\0MODALIAS=a=b\0",
        );
        assert_eq!(event.pairs.len(), 4);
        assert_eq!(event.get("SUBSYSTEM"), Some("hidraw"));
        assert_eq!(event.get("MODALIAS"), Some("a=b"));
        assert_eq!(event.get("DEVPATH"), None);
    }

    #[test]
    fn bytes_that_are_no_event_are_an_event_without_keys() {
        assert!(Uevent::read(b"").pairs.is_empty());
        assert!(Uevent::read(b"libudev\0\xfe\xed\xca\xfe").pairs.is_empty());
    }

    #[test]
    fn what_the_kernel_says_arrives() {
        let uevents = Uevents::open().unwrap();
        assert_eq!(uevents.receive(), Ok(None));
        // Writing an action to a device's `uevent` makes the kernel say it again (root only).
        std::fs::write("/sys/class/mem/null/uevent", "change").unwrap();
        let named = |event: &Uevent| event.get("DEVNAME") == Some("null");
        let event = std::iter::from_fn(|| uevents.receive().unwrap()).find(named).unwrap();
        assert_eq!((event.get("ACTION"), event.get("SUBSYSTEM")), (Some("change"), Some("mem")));
    }
}
