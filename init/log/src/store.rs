// SPDX-License-Identifier: Apache-2.0
//! The store: segments of JSON lines in a folder, the oldest goes first.
//!
//! A line is whole or it is not there: a tail that a power cut tore is cut off when the folder is
//! opened. What cannot be written (ENOSPC, a stick that is gone) is counted, and the folder is
//! tried again with each later entry.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use crate::entry::Entry;

/// An open store.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    segments: Vec<u64>,
    open: Option<File>,
    bytes: u64,
    most_segments: usize,
    /// Entries that could not be kept.
    pub(crate) dropped: u64,
    /// Why the last one could not.
    pub(crate) refusal: Option<String>,
}

/// Bytes of a segment. Sixteen of them fit STATE beside an identity; in memory there are two.
const SEGMENT: u64 = 1 << 20;
pub(crate) const SEGMENTS_ON_DISK: usize = 16;
pub(crate) const SEGMENTS_IN_MEMORY: usize = 2;

impl Store {
    /// Opens a folder, made where it is not there, and cuts a torn tail.
    pub(crate) fn open(folder: &Path, most_segments: usize) -> std::io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut segments: Vec<u64> = std::fs::read_dir(folder)?
            .filter_map(|entry| {
                entry.ok()?.file_name().to_str()?.strip_suffix(".log")?.parse().ok()
            })
            .collect();
        segments.sort_unstable();
        let mut store = Self {
            folder: folder.to_owned(),
            segments,
            open: None,
            bytes: 0,
            most_segments,
            dropped: 0,
            refusal: None,
        };
        if let Some(last) = store.segments.last().copied() {
            let file = OpenOptions::new().read(true).append(true).open(store.path(last))?;
            store.bytes = cut_torn_tail(&file)?;
            store.open = Some(file);
        }
        Ok(store)
    }

    /// Where it is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Keeps an entry, or counts it as dropped.
    pub(crate) fn keep(&mut self, entry: &Entry) {
        match self.write(entry) {
            Ok(()) => self.refusal = None,
            Err(refusal) => {
                self.dropped = self.dropped.saturating_add(1);
                self.refusal = Some(refusal.to_string());
                // Half a line may stand there now: the next one begins a segment of its own.
                self.open = None;
            }
        }
    }

    fn write(&mut self, entry: &Entry) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        if self.open.is_none() || self.bytes >= SEGMENT {
            self.begin_segment()?;
        }
        if let Some(file) = &mut self.open {
            file.write_all(&line)?;
        }
        self.bytes = self.bytes.saturating_add(u64::try_from(line.len()).unwrap_or(0));
        Ok(())
    }

    fn begin_segment(&mut self) -> std::io::Result<()> {
        while self.segments.len() >= self.most_segments.max(1) {
            let oldest = self.segments.remove(0);
            std::fs::remove_file(self.path(oldest))?;
        }
        let next = self.segments.last().map_or(1, |last| last.saturating_add(1));
        self.open = Some(OpenOptions::new().create_new(true).append(true).open(self.path(next))?);
        self.segments.push(next);
        self.bytes = 0;
        Ok(())
    }

    /// All entries from the oldest on that `wants` says yes to, the newest `most` of them.
    pub(crate) fn read(&self, most: usize, wants: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        let mut found = std::collections::VecDeque::new();
        for segment in &self.segments {
            let Ok(file) = File::open(self.path(*segment)) else { continue };
            for line in BufReader::new(file).lines().map_while(Result::ok) {
                let Ok(entry) = serde_json::from_str::<Entry>(&line) else { continue };
                if wants(&entry) {
                    if found.len() >= most {
                        found.pop_front();
                    }
                    found.push_back(entry);
                }
            }
        }
        found.into()
    }

    fn path(&self, segment: u64) -> PathBuf {
        self.folder.join(format!("{segment:08}.log"))
    }
}

/// Bytes up to the end of the last whole line; the rest is cut off.
fn cut_torn_tail(file: &File) -> std::io::Result<u64> {
    let mut reader = BufReader::new(file);
    let (mut whole, mut line) = (0_u64, Vec::new());
    loop {
        line.clear();
        let length = reader.read_until(b'\n', &mut line)?;
        if length == 0 || line.last() != Some(&b'\n') {
            break;
        }
        whole = whole.saturating_add(u64::try_from(length).unwrap_or(0));
    }
    file.set_len(whole)?;
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(message: &str) -> Entry {
        Entry::now("test", 6, message.as_bytes())
    }

    fn messages(store: &Store) -> Vec<String> {
        store.read(1000, |_| true).into_iter().map(|entry| entry.message).collect()
    }

    #[test]
    fn a_tail_torn_at_any_byte_costs_that_entry_alone() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path(), 4).unwrap();
        for message in ["one", "two", "three"] {
            store.keep(&entry(message));
        }
        let path = store.path(1);
        let whole = std::fs::read(&path).unwrap();
        let ends: Vec<usize> = whole
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'\n')
            .map(|(at, _)| at + 1)
            .collect();
        for length in ends[1]..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let mut again = Store::open(folder.path(), 4).unwrap();
            assert_eq!(messages(&again), ["one", "two"], "cut at {length}");
            again.keep(&entry("four"));
            assert_eq!(messages(&again), ["one", "two", "four"]);
        }
    }

    #[test]
    fn the_oldest_goes_when_the_room_is_used_up() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path(), 2).unwrap();
        let long = "x".repeat(15_000);
        for number in 0..200 {
            store.keep(&entry(&format!("{number} {long}")));
        }
        let kept = store.read(1000, |_| true);
        assert!(kept.len() < 150, "{} of 200 in two segments of 1 MiB", kept.len());
        assert!(kept.last().unwrap().message.starts_with("199 "));
        assert_eq!(store.dropped, 0);
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path(), 2).unwrap();
        // Nobody, not even root, can make a file in a folder that is gone: as with a pulled stick.
        std::fs::remove_dir(folder.path()).unwrap();
        store.keep(&entry("lost"));
        assert_eq!(store.dropped, 1);
        assert!(store.refusal.is_some());
        std::fs::create_dir(folder.path()).unwrap();
        store.keep(&entry("kept"));
        assert_eq!(messages(&store), ["kept"]);
        assert_eq!(store.refusal, None);
    }
}
