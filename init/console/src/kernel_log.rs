// SPDX-License-Identifier: Apache-2.0
//! The kernel's log as lines for one terminal, from its first line on.
//!
//! Each terminal reads `/dev/kmsg` for itself and only when it has room for more: so the kernel's
//! own ring is the queue of a slow terminal, and nothing is copied. What the kernel overwrote
//! meanwhile is counted. The number of the last record is written to a file in `/run`, so that a
//! worker that starts again goes on where it was.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use crate::page::printable;

/// A reader of the kernel's log with a place in it.
#[derive(Debug)]
pub(crate) struct KernelLog {
    source: File,
    bookmark: Option<File>,
    /// The number that the next record should have.
    next: u64,
    /// Records of a level below this one are printed by the kernel itself on this terminal.
    printed_below: u8,
    has_ended: bool,
    troubles: VecDeque<String>,
}

/// One record of `/dev/kmsg`: `6,339,5140900,-;text`, then lines with a blank first
/// (Documentation/ABI/testing/dev-kmsg).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record {
    level: u8,
    number: u64,
    microseconds: u64,
    text: String,
}

impl KernelLog {
    /// Reads from `path`; the place is kept in the file `bookmark`. Levels below `printed_below`
    /// are left out.
    ///
    /// # Errors
    /// `/dev/kmsg` wants CAP_SYSLOG where dmesg_restrict is set.
    pub(crate) fn open(
        path: &Path,
        bookmark: &Path,
        printed_below: u8,
    ) -> Result<Self, std::io::Error> {
        let nonblock = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let source = File::options().read(true).custom_flags(nonblock).open(path)?;
        Ok(Self { bookmark: open_bookmark(bookmark), ..Self::over(source, printed_below) }
            .resumed())
    }

    /// Reads from this descriptor, which gives one whole record a read.
    pub(crate) fn over(source: File, printed_below: u8) -> Self {
        let troubles = VecDeque::new();
        Self { source, bookmark: None, next: 0, printed_below, has_ended: false, troubles }
    }

    fn resumed(mut self) -> Self {
        let mut text = String::new();
        if let Some(mut file) = self.bookmark.as_ref()
            && file.read_to_string(&mut text).is_ok()
        {
            self.next = text.trim().parse().unwrap_or(0);
        }
        self
    }

    /// What to poll for; none once there will be no more.
    pub(crate) fn interest(&self) -> Option<BorrowedFd<'_>> {
        (!self.has_ended).then(|| self.source.as_fd())
    }

    /// The last warnings and worse, oldest first.
    pub(crate) fn troubles(&self) -> impl Iterator<Item = &String> {
        self.troubles.iter()
    }

    /// The lines of the next record that is for this terminal; none for now.
    pub(crate) fn take(&mut self) -> Option<Vec<String>> {
        loop {
            let record = self.read()?;
            let expected = self.next;
            if record.number < expected {
                continue;
            }
            self.next = record.number.saturating_add(1);
            self.keep_place();
            let lost = record.number.saturating_sub(expected);
            let mut lines = Vec::new();
            if lost > 0 {
                lines.push(format!("… {lost} lines not shown"));
            }
            let shown = record.lines();
            if record.level <= WARNING {
                self.troubles.extend(shown.clone());
                let too_many = self.troubles.len().saturating_sub(MOST_TROUBLES);
                self.troubles.drain(..too_many);
            }
            if record.level >= self.printed_below {
                lines.extend(shown);
            }
            if !lines.is_empty() {
                return Some(lines);
            }
        }
    }

    fn read(&mut self) -> Option<Record> {
        let mut bytes = [0; RECORD_LIMIT];
        loop {
            match self.source.read(&mut bytes) {
                Ok(0) => {
                    self.has_ended = true;
                    return None;
                }
                Ok(length) => {
                    let record = Record::parse(bytes.get(..length).unwrap_or_default());
                    if record.is_some() {
                        return record;
                    }
                }
                // EPIPE: the record to read was overwritten; the next read gives the oldest there is.
                Err(refusal) if refusal.kind() == ErrorKind::BrokenPipe => {}
                Err(refusal) if refusal.kind() == ErrorKind::Interrupted => {}
                Err(refusal) if refusal.kind() == ErrorKind::WouldBlock => return None,
                Err(_) => {
                    self.has_ended = true;
                    return None;
                }
            }
        }
    }

    /// On tmpfs; where that fails the log is only told once more after a restart.
    fn keep_place(&self) {
        if let Some(file) = &self.bookmark {
            let _ = file.write_all_at(format!("{:020}\n", self.next).as_bytes(), 0);
        }
    }
}

impl Record {
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (head, body) = text.split_once(';')?;
        let mut fields = head.split(',');
        let priority: u32 = fields.next()?.parse().ok()?;
        let number = fields.next()?.parse().ok()?;
        let microseconds = fields.next()?.parse().ok()?;
        let message = body.split('\n').next().unwrap_or(body);
        let level = u8::try_from(priority & 7).ok()?;
        Some(Self { level, number, microseconds, text: unescaped(message) })
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let (seconds, rest) = (self.microseconds / 1_000_000, self.microseconds % 1_000_000);
        let line = |text: &str| format!("[{seconds:5}.{rest:06}] {}", printable(text));
        self.text.trim_end_matches('\n').split('\n').map(line).collect()
    }
}

/// The kernel writes all but printable ASCII, and the backslash, as `\x1b`.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\\x") {
        bytes.extend_from_slice(before.as_bytes());
        match after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.extend_from_slice(b"\\x");
                rest = after;
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

fn open_bookmark(path: &Path) -> Option<File> {
    std::fs::create_dir_all(path.parent()?).ok()?;
    File::options().read(true).write(true).create(true).truncate(false).open(path).ok()
}

/// PRINTK_MESSAGE_MAX: the kernel gives no longer one.
const RECORD_LIMIT: usize = 8192;
/// KERN_WARNING; PID 1 tells of services that failed at this level.
const WARNING: u8 = 4;
/// A screen of them.
const MOST_TROUBLES: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_becomes_a_readable_line_with_its_time() {
        let record = Record::parse(b"12,7,12345678,-;kubermesh: status=isolated no \\xe2\\x80\\x9ccable\\x0a\n SUBSYSTEM=x\n");
        assert_eq!(
            record.unwrap().lines(),
            ["[   12.345678] kubermesh: status=isolated no “cable"]
        );
    }

    #[test]
    fn a_record_with_line_breaks_is_several_lines_and_no_escape_code_gets_through() {
        let record = Record::parse(b"6,1,1000,-;one\\x0atwo \\x1b[2J \\x5c \\xzz\n").unwrap();
        assert_eq!(record.lines(), ["[    0.001000] one", "[    0.001000] two ·[2J \\ \\xzz"]);
    }

    #[test]
    fn what_is_no_record_is_passed_over() {
        for bytes in [&b"nonsense"[..], b"", b";", b"6,x,1,-;text", b"\xff,1,1,-;text"] {
            assert_eq!(Record::parse(bytes), None);
        }
    }
}
