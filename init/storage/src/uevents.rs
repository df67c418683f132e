// SPDX-License-Identifier: Apache-2.0
//! Waits for the kernel's news of a device, with a deadline, instead of asking again and again.

use std::time::{Duration, Instant};

use kubermesh_sys::uevent;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::error::StorageError;

/// A subscription to the kernel's own uevents.
#[derive(Debug)]
pub(crate) struct Uevents {
    source: uevent::Uevents,
}

impl Uevents {
    /// Subscribes. Look at sysfs after this, not before, and nothing is missed.
    pub(crate) fn listen() -> Result<Self, StorageError> {
        let told = |source| StorageError::System { attempt: "listen for new devices", source };
        uevent::Uevents::open().map(|source| Self { source }).map_err(told)
    }

    /// Waits until something of `subsystem` happens; false when `until` comes first.
    pub(crate) fn wait(&self, subsystem: &str, until: Instant) -> bool {
        loop {
            if self.heard(subsystem) {
                return true;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let mut source = [PollFd::new(&self.source, PollFlags::IN)];
            if poll(&mut source, Some(&timespec(left))).is_err_and(|refusal| refusal != Errno::INTR)
            {
                return false;
            }
        }
    }

    /// Takes all news; whether any is of this kind. News that were lost may have been.
    fn heard(&self, subsystem: &str) -> bool {
        let mut is_heard = false;
        loop {
            match self.source.receive() {
                Ok(Some(event)) => is_heard |= event.get("SUBSYSTEM") == Some(subsystem),
                Err(Errno::NOBUFS) => is_heard = true,
                Ok(None) | Err(_) => return is_heard,
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
