// SPDX-License-Identifier: Apache-2.0
//! The hardware watchdog, linux/watchdog.h.

use nix::libc;
use rustix::fs::{Mode, OFlags};

use crate::descriptor::{AsRawFd, OwnedFd, RawFd};
use crate::{Errno, inherited};

/// An armed watchdog.
#[derive(Debug)]
pub struct Watchdog {
    device: OwnedFd,
}

impl Watchdog {
    /// Opens `/dev/watchdog`, which arms it, and asks it to bite after `seconds`.
    ///
    /// # Errors
    /// ENOENT, EBUSY while somebody else has it.
    pub fn open(seconds: i32) -> Result<Self, Errno> {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        Self::arm(rustix::fs::open("/dev/watchdog", flags, Mode::empty())?, seconds)
    }

    /// Takes an open `/dev/watchdog` and asks it to bite after `seconds`.
    ///
    /// # Errors
    /// ENOTTY where it is no watchdog. A driver that cannot keep another time than its own keeps that.
    pub fn arm(device: OwnedFd, seconds: i32) -> Result<Self, Errno> {
        let mut wanted: libc::c_int = seconds;
        // SAFETY: the descriptor is open and `wanted` outlives the call.
        match unsafe { ioctl::set_timeout(device.as_raw_fd(), &raw mut wanted) } {
            Ok(_) | Err(nix::Error::EOPNOTSUPP | nix::Error::EINVAL) => Ok(Self { device }),
            Err(refusal) => Err(Errno::from_raw_os_error(refusal as i32)),
        }
    }

    /// Feeds it.
    ///
    /// # Errors
    /// EIO from the device.
    pub fn feed(&self) -> Result<(), Errno> {
        rustix::io::write(&self.device, b"\0").map(|_| ())
    }

    /// The same under this number, where it lives on over exec(2).
    ///
    /// # Errors
    /// EMFILE.
    pub fn placed(&self, number: RawFd) -> Result<Self, Errno> {
        Ok(Self { device: inherited::place(&self.device, number)? })
    }
}

mod ioctl {
    use super::*;

    nix::ioctl_readwrite!(set_timeout, b'W', 6, libc::c_int);
}
