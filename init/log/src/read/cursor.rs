// SPDX-License-Identifier: Apache-2.0
//! A place in the segments, and the way to it.

use std::collections::VecDeque;
use std::fs::File;
use std::path::Path;

use super::query::Query;
use crate::entry::Entry;
use crate::store::segment;

/// A place in the segments: the entry that a reader gets next.
#[derive(Debug)]
pub(crate) struct Cursor {
    /// The segment; 0 is before all.
    segment: u64,
    offset: u64,
    open: Option<(File, String)>,
    /// The number of the last entry that was passed in the present boot.
    passed: u64,
}

/// The way back to where the last so many entries begin.
#[derive(Debug)]
pub(crate) struct Seek {
    /// Still to be found in this segment and those before it.
    wanted: usize,
    /// The segment that is being searched, where in it, and the last places found there.
    segment: u64,
    offset: u64,
    places: VecDeque<u64>,
}

/// Which boots are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Boots {
    All,
    One(String),
}

impl Boots {
    /// From the word of a query.
    pub(crate) fn of(word: Option<&str>, present: &str, folder: Option<&Path>) -> Self {
        match word {
            None => Self::One(present.to_owned()),
            Some("all") => Self::All,
            Some("previous") => Self::One(previous(present, folder).unwrap_or_default()),
            Some(id) => Self::One(id.to_owned()),
        }
    }

    pub(crate) fn hold(&self, boot: &str) -> bool {
        match self {
            Self::All => true,
            Self::One(id) => id == boot,
        }
    }
}

impl Cursor {
    /// Before all that is kept; entries of this boot up to number `passed` are passed over.
    pub(crate) const fn at_start(passed: u64) -> Self {
        Self { segment: 0, offset: 0, open: None, passed }
    }

    /// The number of the last entry that was passed in the present boot.
    pub(crate) const fn passed(&self) -> u64 {
        self.passed
    }

    pub(crate) const fn pass(&mut self, number: u64) {
        self.passed = number;
    }

    /// Gives a chunk of entries to `take` until that says no (it gets that one again). False: there
    /// are no more in the files for now.
    pub(crate) fn read(
        &mut self,
        folder: &Path,
        (boots, present): (&Boots, &str),
        chunk: &mut Vec<u8>,
        mut take: impl FnMut(Entry) -> bool,
    ) -> bool {
        let (segment, passed) = (self.segment, &mut self.passed);
        let Some((file, boot)) = self.open.as_ref().filter(|(_, boot)| boots.hold(boot)) else {
            return self.next_segment(folder, segment);
        };
        let mut is_full = false;
        let next = segment::scan(file, self.offset, chunk, |_, _, json| {
            let Ok(mut entry) = serde_json::from_slice::<Entry>(json) else { return true };
            let (number, is_present) = (entry.number, boot == present);
            if is_present && number <= *passed {
                return true;
            }
            entry.boot.clone_from(boot);
            is_full = !take(entry);
            if is_present && !is_full {
                *passed = number;
            }
            !is_full
        });
        match next {
            Ok(Some(next)) => {
                self.offset = next;
                true
            }
            Ok(None) | Err(_) => self.next_segment(folder, segment),
        }
    }

    /// Opens the first segment after this one. The open one stays where there is none: it grows.
    fn next_segment(&mut self, folder: &Path, after: u64) -> bool {
        let segments = segment::list(folder).unwrap_or_default();
        let Some((number, _)) = segments.into_iter().find(|(number, _)| *number > after) else {
            return false;
        };
        let Ok(file) = File::open(segment::path(folder, number)) else { return false };
        let boot = segment::header(&file).map(|header| header.boot).unwrap_or_default();
        self.open = Some((file, boot));
        (self.segment, self.offset) = (number, 0);
        true
    }
}

impl Seek {
    /// From the newest segment on; `wanted` is at least 1.
    pub(crate) fn back(folder: Option<&Path>, wanted: usize) -> Self {
        let segments = folder.and_then(|folder| segment::list(folder).ok()).unwrap_or_default();
        let segment = segments.last().map_or(0, |(number, _)| *number);
        Self { wanted, segment, offset: 0, places: VecDeque::new() }
    }

    /// Searches a chunk. The place, once it is found.
    pub(crate) fn step(
        &mut self,
        folder: &Path,
        boots: &Boots,
        query: &Query,
        chunk: &mut Vec<u8>,
    ) -> Option<Cursor> {
        let opened = File::open(segment::path(folder, self.segment)).ok();
        let held = opened
            .filter(|file| segment::header(file).is_some_and(|header| boots.hold(&header.boot)));
        let (wanted, places) = (self.wanted, &mut self.places);
        let next = held.and_then(|file| {
            let found = segment::scan(&file, self.offset, chunk, |at, _, json| {
                let entry = serde_json::from_slice::<Entry>(json);
                if entry.is_ok_and(|entry| query.wants(&entry)) {
                    places.push_back(at);
                    if places.len() > wanted {
                        places.pop_front();
                    }
                }
                true
            });
            found.ok().flatten()
        });
        if let Some(next) = next {
            self.offset = next;
            return None;
        }
        self.end_of_segment(folder)
    }

    fn end_of_segment(&mut self, folder: &Path) -> Option<Cursor> {
        let first = self.places.front().copied();
        if self.places.len() == self.wanted
            && let Some(offset) = first
        {
            let file = File::open(segment::path(folder, self.segment)).ok();
            let open = file.map(|file| {
                let boot = segment::header(&file).map(|header| header.boot).unwrap_or_default();
                (file, boot)
            });
            return Some(Cursor { segment: self.segment, offset, open, passed: 0 });
        }
        self.wanted = self.wanted.saturating_sub(self.places.len());
        self.places.clear();
        self.offset = 0;
        let segments = segment::list(folder).unwrap_or_default();
        let older = segments.into_iter().rfind(|(number, _)| *number < self.segment);
        match older {
            Some((number, _)) => {
                self.segment = number;
                None
            }
            None => Some(Cursor::at_start(0)),
        }
    }
}

/// The boot before the present one.
fn previous(present: &str, folder: Option<&Path>) -> Option<String> {
    let folder = folder?;
    let boots = segment::list(folder).ok()?.into_iter().rev().filter_map(|(number, _)| {
        let file = File::open(segment::path(folder, number)).ok()?;
        Some(segment::header(&file)?.boot)
    });
    boots.into_iter().find(|boot| boot != present)
}
