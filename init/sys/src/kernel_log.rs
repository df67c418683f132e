// SPDX-License-Identifier: Apache-2.0
//! The kernel's log as a place to write to, /dev/kmsg. It outlives everything and waits for nobody.

use std::fmt::Write;
use std::fs::File;
use std::ops::Deref;

use crate::descriptor::{AsRawFd, RawFd};

/// An open /dev/kmsg.
#[derive(Debug)]
pub struct KernelLog {
    file: File,
}

impl KernelLog {
    /// Opens it.
    ///
    /// # Errors
    /// ENOENT before /dev is there.
    pub fn open() -> std::io::Result<Self> {
        File::options().write(true).open("/dev/kmsg").map(|file| Self { file })
    }

    /// Writes one [`record`].
    ///
    /// # Errors
    /// EINVAL for one that is longer than the kernel takes.
    pub fn write(&self, record: &[u8]) -> std::io::Result<()> {
        std::io::Write::write_all(&mut &self.file, record)
    }

    /// Its number, for a handler that has nothing else.
    #[must_use]
    pub fn number(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

/// One record of this level, syslog(2): on one line, cut to what the kernel takes.
#[must_use]
pub fn record(level: u8, line: &str) -> Record {
    let mut record = Record { bytes: [0; ROOM], length: 0 };
    let _ = write!(record, "<{level}>kubermesh: ");
    for character in line.chars() {
        if record.length.saturating_add(character.len_utf8()) > LONGEST {
            record.push('…');
            break;
        }
        record.push(if character.is_control() { ' ' } else { character });
    }
    record.push('\n');
    record
}

/// A record's text. It is on the stack: to get memory for it and give that back takes longer than to write it.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    bytes: [u8; ROOM],
    length: usize,
}

impl Record {
    /// One that it has no room for is left out.
    fn push(&mut self, character: char) {
        let end = self.length.saturating_add(character.len_utf8());
        if let Some(room) = self.bytes.get_mut(self.length..end) {
            character.encode_utf8(room);
            self.length = end;
        }
    }
}

impl Write for Record {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        text.chars().for_each(|character| self.push(character));
        Ok(())
    }
}

impl Deref for Record {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// A longer write is refused whole with EINVAL: 1024 bytes, PRINTKRB_RECORD_MAX, in older kernels 48
/// less for their prefix (kernel/printk/printk.c). Four are for the end.
const LONGEST: usize = 972;
const ROOM: usize = 976;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_record_with_its_level() {
        assert_eq!(
            &*record(5, "status=ready all\nis well"),
            b"<5>kubermesh: status=ready all is well\n"
        );
    }

    #[test]
    fn a_long_line_is_cut_by_its_bytes_since_the_kernel_counts_those() {
        for long in ["x".repeat(5000), "é".repeat(5000), "\u{10ffff}".repeat(5000)] {
            let record = record(3, &long);
            assert!((970..=976).contains(&record.len()), "{} bytes", record.len());
            assert!(record.ends_with("…\n".as_bytes()));
        }
    }
}
