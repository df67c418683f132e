// SPDX-License-Identifier: Apache-2.0
//! The kernel's ring, `/dev/kmsg`: a read gives one record; EPIPE says that the ring has
//! overwritten the next one (Documentation/ABI/testing/dev-kmsg).

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::{Slice, record};

/// The kernel's ring, read from where an earlier run stopped.
#[derive(Debug)]
pub(crate) struct Kernel {
    file: File,
    next: u64,
    is_at_end: bool,
}

impl Kernel {
    /// Opens it; records before `next` are kept already.
    pub(crate) fn open(path: &Path, next: u64) -> std::io::Result<Self> {
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let file = File::options().read(true).custom_flags(flags).open(path)?;
        Ok(Self { file, next, is_at_end: false })
    }

    /// It has no more to give, ever: a file of a test, or a device that is gone.
    pub(crate) const fn is_at_end(&self) -> bool {
        self.is_at_end
    }

    /// The next few records; none for now.
    pub(crate) fn step(&mut self) -> Option<Slice> {
        let mut slice = Slice::default();
        let mut bytes = [0; RECORD_LIMIT];
        for _ in 0..RECORDS_A_STEP {
            match self.file.read(&mut bytes) {
                Ok(0) => {
                    self.is_at_end = true;
                    break;
                }
                Ok(read) => self.hear(bytes.get(..read).unwrap_or_default(), &mut slice),
                Err(refusal) => match Errno::from_io_error(&refusal) {
                    // The ring went round; the next read gives the oldest record there is, and its
                    // number says how many are gone. EINVAL: a record longer than our buffer.
                    Some(Errno::PIPE | Errno::INTR | Errno::INVAL) => {}
                    Some(Errno::AGAIN) => break,
                    Some(_) | None => {
                        self.is_at_end = true;
                        break;
                    }
                },
            }
        }
        (slice.dropped > 0 || !slice.entries.is_empty()).then_some(slice)
    }

    fn hear(&mut self, bytes: &[u8], slice: &mut Slice) {
        let Some(entry) = record::decode(bytes) else {
            slice.dropped = slice.dropped.saturating_add(1);
            return;
        };
        let sequence = entry.sequence.unwrap_or_default();
        if sequence < self.next {
            return;
        }
        // The ring's first record has a number of its own where the ring went round before us.
        slice.dropped = slice.dropped.saturating_add(sequence.saturating_sub(self.next));
        self.next = sequence.saturating_add(1);
        slice.entries.push(entry);
    }
}

impl AsFd for Kernel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// The kernel's own bound for a record (CONSOLE_EXT_LOG_MAX, PRINTK_MESSAGE_MAX).
const RECORD_LIMIT: usize = 8 * 1024;
/// Records are of 1 KiB at most, and mostly of 100 bytes.
const RECORDS_A_STEP: usize = 16;
