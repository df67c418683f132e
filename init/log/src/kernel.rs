// SPDX-License-Identifier: Apache-2.0
//! The kernel's ring, /dev/kmsg (Documentation/ABI/testing/dev-kmsg): a record a read.
//!
//! `6,1234,5678901,-;text` and continuation lines: priority and facility, sequence, microseconds.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use kubermesh_node::time::Time;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::entry::Entry;

/// The open ring, and how far it was read.
pub(crate) struct Kernel {
    ring: OwnedFd,
    /// Records up to this sequence were kept by an earlier run.
    seen: Option<u64>,
}

/// What a read gave.
pub(crate) enum Read {
    Entry(Entry, u64),
    /// Kept by an earlier run.
    Known,
    /// Records were overwritten before they were read.
    Lost,
    Nothing,
}

/// A record has at most 8 KiB (CONSOLE_EXT_LOG_MAX), metadata included.
const RECORD: usize = 8192;

impl Kernel {
    pub(crate) fn open(path: &str, seen: Option<u64>) -> Result<Self, Errno> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(Self { ring: rustix::fs::open(path, flags, Mode::empty())?, seen })
    }

    pub(crate) fn read(&self) -> Read {
        let mut bytes = [0; RECORD];
        match rustix::io::read(&self.ring, &mut bytes) {
            Ok(0) => Read::Nothing,
            Ok(length) => match parse(bytes.get(..length).unwrap_or_default()) {
                Some((_, sequence)) if self.seen.is_some_and(|seen| sequence <= seen) => {
                    Read::Known
                }
                Some((entry, sequence)) => Read::Entry(entry, sequence),
                None => Read::Known,
            },
            Err(Errno::PIPE) => Read::Lost,
            Err(Errno::INTR) => Read::Known,
            Err(_) => Read::Nothing,
        }
    }
}

impl AsFd for Kernel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

fn parse(record: &[u8]) -> Option<(Entry, u64)> {
    let text = String::from_utf8_lossy(record);
    let (head, body) = text.split_once(';')?;
    let mut words = head.split(',');
    let urgency: u32 = words.next()?.parse().ok()?;
    let sequence: u64 = words.next()?.parse().ok()?;
    let microseconds: u64 = words.next()?.parse().ok()?;
    let line = body.lines().next().unwrap_or_default();
    let priority = u8::try_from(urgency & 7).unwrap_or(7);
    let mut entry = Entry::now("kernel", priority, line.as_bytes());
    entry.time = Time::from_millis(microseconds / 1000);
    Some((entry, sequence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_its_first_line_with_its_own_time() {
        let (entry, sequence) =
            parse(b"30,339,5140900,-;kubermesh: status=ready 1 neighbour\n SUBSYSTEM=x\n").unwrap();
        assert_eq!((sequence, entry.priority, entry.time.as_millis()), (339, 6, 5140));
        assert_eq!(entry.message, "kubermesh: status=ready 1 neighbour");
        assert!(parse(b"nonsense").is_none());
    }
}
