// SPDX-License-Identifier: Apache-2.0
//! What still has to go out on one terminal: whole lines, a bounded number of bytes.
//!
//! When it is full the oldest whole line goes, never a part of one, and the reader is told how
//! many went.

use std::collections::VecDeque;

use rustix::io::Errno;

/// Lines on their way.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    lines: VecDeque<Vec<u8>>,
    /// Bytes of all lines.
    held: usize,
    /// Bytes of the first line that are out already.
    sent: usize,
    /// Lines that had to go since the last note of it.
    dropped: u64,
}

impl Outbox {
    /// Adds one line; its end is added here.
    pub(crate) fn push(&mut self, line: &str) {
        let line = [line.as_bytes(), b"\r\n"].concat();
        self.held = self.held.saturating_add(line.len());
        self.lines.push_back(line);
        while self.held > LIMIT {
            let oldest_whole = usize::from(self.sent > 0);
            let Some(gone) = self.lines.remove(oldest_whole) else { return };
            self.held = self.held.saturating_sub(gone.len());
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    /// Nothing is left to send.
    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.dropped == 0
    }

    /// Sends as much as `write` takes.
    ///
    /// # Errors
    /// As `write`, but for EAGAIN, which means that the terminal takes no more for now.
    pub(crate) fn send(
        &mut self,
        mut write: impl FnMut(&[u8]) -> Result<usize, Errno>,
    ) -> Result<(), Errno> {
        loop {
            if self.sent == 0 && self.dropped > 0 {
                let note = format!("… {} lines not shown\r\n", self.dropped).into_bytes();
                self.held = self.held.saturating_add(note.len());
                self.lines.push_front(note);
                self.dropped = 0;
            }
            let Some(line) = self.lines.front() else { return Ok(()) };
            match write(line.get(self.sent..).unwrap_or_default()) {
                Ok(length) => self.sent = self.sent.saturating_add(length),
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => continue,
                Err(refusal) => return Err(refusal),
            }
            if self.sent >= line.len() {
                self.held = self.held.saturating_sub(line.len());
                self.sent = 0;
                self.lines.pop_front();
            }
        }
    }

    /// The terminal is another one now, or the same after a hangup: a line of which a part is out
    /// goes out whole, on a line of its own.
    pub(crate) fn start_again(&mut self) {
        if self.sent > 0 {
            self.sent = 0;
            self.lines.push_front(b"\r\n".to_vec());
            self.held = self.held.saturating_add(2);
        }
    }
}

/// A page of answers several times over. The kernel's log needs no room here: its own ring waits.
const LIMIT: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes `room` bytes in all, then no more.
    fn sink(room: usize, out: &mut Vec<u8>) -> impl FnMut(&[u8]) -> Result<usize, Errno> {
        let mut left = room;
        move |bytes| {
            if left == 0 {
                return Err(Errno::AGAIN);
            }
            let length = left.min(bytes.len());
            left = left.saturating_sub(length);
            out.extend_from_slice(&bytes[..length]);
            Ok(length)
        }
    }

    #[test]
    fn the_oldest_whole_lines_go_and_the_begun_one_stays() {
        let mut outbox = Outbox::default();
        outbox.push("a begun line");
        let mut out = Vec::new();
        outbox.send(sink(3, &mut out)).unwrap();
        let long = "x".repeat(1022);
        for _ in 0..40 {
            outbox.push(&long);
        }
        outbox.send(sink(1 << 20, &mut out)).unwrap();
        let text = String::from_utf8(out).unwrap();
        let mut lines = text.split("\r\n");
        assert_eq!(lines.next(), Some("a begun line"));
        assert_eq!(lines.next(), Some("… 9 lines not shown"));
        assert_eq!(lines.filter(|line| *line == long).count(), 31);
        assert!(outbox.is_empty());
    }

    #[test]
    fn after_a_hangup_the_begun_line_is_sent_whole_on_its_own_line() {
        let mut outbox = Outbox::default();
        outbox.push("kubermesh: status=ready");
        let mut out = Vec::new();
        outbox.send(sink(5, &mut out)).unwrap();
        outbox.start_again();
        outbox.send(sink(100, &mut out)).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "kuber\r\nkubermesh: status=ready\r\n");
    }
}
