// SPDX-License-Identifier: Apache-2.0
//! Entries on their way to the disk. While that takes none, the newest stay and the oldest go,
//! counted. Pure.

use std::collections::VecDeque;

use super::disk::Ask;
use super::line;
use crate::entry::{Entry, Priority};

/// Entries that are not known to be on their place.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// So many from the front are with the writer.
    given: usize,
    /// Entries that have found no room.
    pub(crate) dropped: u64,
}

impl Queue {
    /// Takes one in; drops the oldest that the writer has not got where there is no room.
    pub(crate) fn push(&mut self, entry: Entry) {
        self.bytes = self.bytes.saturating_add(weight(&entry));
        self.entries.push_back(entry);
        while self.bytes > LIMIT {
            let Some(lost) = self.entries.remove(self.given) else { break };
            self.bytes = self.bytes.saturating_sub(weight(&lost));
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    /// There is room for what one turn may bring.
    pub(crate) const fn has_room(&self) -> bool {
        self.bytes < LIMIT / 2
    }

    /// All is kept.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What the writer should keep next; none where there is nothing. Call [`Self::kept`] or
    /// [`Self::refused`] before the next.
    pub(crate) fn batch(&mut self, kernel_next: u64) -> Option<Ask> {
        let (mut lines, mut urgent, mut next) = (Vec::new(), false, kernel_next);
        for entry in &self.entries {
            if lines.len() > BATCH {
                break;
            }
            // An entry is numbers and text: JSON holds each.
            if let Ok(json) = serde_json::to_vec(entry) {
                line::write(&json, &mut lines);
            }
            urgent |= entry.priority <= Priority::ERROR;
            next = entry.sequence.map_or(next, |sequence| next.max(sequence.saturating_add(1)));
            self.given = self.given.saturating_add(1);
        }
        (!lines.is_empty()).then_some(Ask::Write { lines, kernel_next: next, urgent })
    }

    /// The batch is on its place. How many entries that was.
    pub(crate) fn kept(&mut self) -> u64 {
        let given = std::mem::take(&mut self.given);
        let kept = self.entries.drain(..given.min(self.entries.len()));
        self.bytes = kept.fold(self.bytes, |bytes, entry| bytes.saturating_sub(weight(&entry)));
        if self.entries.is_empty() {
            self.entries.shrink_to(64);
        }
        u64::try_from(given).unwrap_or(u64::MAX)
    }

    /// The batch is not on its place: it waits for the next try.
    pub(crate) fn refused(&mut self) {
        self.given = 0;
    }

    /// The entries after this number, oldest first.
    pub(crate) fn after(&self, number: u64) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.number > number)
    }
}

/// About what an entry takes in memory.
fn weight(entry: &Entry) -> usize {
    let fields = entry.fields.iter();
    let fields = fields.fold(0_usize, |sum, (key, value)| {
        sum.saturating_add(key.len()).saturating_add(value.len()).saturating_add(96)
    });
    fields.saturating_add(entry.message.len()).saturating_add(256)
}

/// Half of it is a turn's worth; all of it is what a node without a disk remembers.
const LIMIT: usize = 192 * 1024;
/// A batch ends with the entry that passes this, so no batch is longer than 16 KiB and a line.
const BATCH: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Source;

    fn entry(number: u64) -> Entry {
        let mut entry = Entry::said(Source::Output, "x", Priority::INFO, &[b'm'; 1000]);
        entry.number = number;
        entry
    }

    #[test]
    fn without_a_disk_the_newest_stay_and_the_oldest_are_counted() {
        let mut queue = Queue::default();
        (1..=1000).for_each(|number| queue.push(entry(number)));
        let numbers: Vec<u64> = queue.after(0).map(|entry| entry.number).collect();
        assert_eq!(numbers.last(), Some(&1000));
        assert_eq!(queue.dropped, 1000 - numbers.len() as u64);
        assert!((100..=200).contains(&numbers.len()), "{} stay", numbers.len());
    }

    #[test]
    fn what_the_writer_has_is_not_dropped_and_comes_again_after_a_refusal() {
        let mut queue = Queue::default();
        queue.push(entry(1));
        assert!(queue.batch(0).is_some());
        (2..=1000).for_each(|number| queue.push(entry(number)));
        assert_eq!(queue.after(0).next().unwrap().number, 1);
        queue.refused();
        let Some(Ask::Write { lines, .. }) = queue.batch(0) else { panic!("nothing to write") };
        assert!(lines.len() < 20_000, "{} bytes", lines.len());
        assert!(queue.kept() > 1);
        assert!(queue.after(0).next().unwrap().number > 1);
    }
}
