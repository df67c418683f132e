// SPDX-License-Identifier: Apache-2.0
//! Turns a table into writes, in an order that a power cut at any point cannot hurt.
//!
//! ```text
//! backup entries, backup header ─ flush ─ primary entries, primary header ─ flush
//! ```
//!
//! Between two flushes a disk may write in any order and tear the last sectors; at each moment the
//! other copy is whole. docs/decisions/0005-storage.md has the whole argument.

use super::entry::LENGTH;
use super::header::Header;
use super::read::{Copy, Reading, Table};

/// One step of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Bytes to an offset, both whole sectors.
    Write {
        /// In bytes.
        offset: u64,
        /// What to write.
        bytes: Vec<u8>,
    },
    /// All that was written is on the medium before the next step.
    Flush,
}

/// Writes both copies of a table, the backup first. The primary copy that is there must be whole:
/// see [`repair`].
#[must_use]
pub fn replace(table: &Table) -> Vec<Step> {
    let mut steps = Vec::new();
    // A partition that reaches to the disk's very end is worth more than a second copy.
    if table.has_room_for_backup() {
        steps.extend(copy(table, Side::Backup));
    }
    steps.extend(copy(table, Side::Primary));
    steps
}

/// Makes both copies whole and equal, as far as the table leaves room for them; nothing where they are.
#[must_use]
pub fn repair(reading: &Reading) -> Vec<Step> {
    match (reading.primary, reading.backup) {
        (Copy::Whole, Copy::Whole) => Vec::new(),
        (Copy::Broken, _) => copy(&reading.table, Side::Primary),
        (Copy::Whole | Copy::Stale, _) if !reading.table.has_room_for_backup() => Vec::new(),
        (Copy::Whole, _) => copy(&reading.table, Side::Backup),
        (Copy::Stale, _) => replace(&reading.table),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Primary,
    Backup,
}

fn copy(table: &Table, side: Side) -> Vec<Step> {
    let mut entries = Vec::new();
    for entry in &table.entries {
        match entry {
            Some(entry) => entries.extend(entry.encode()),
            None => entries.extend([0; LENGTH]),
        }
    }
    let end = table.disk_sectors.saturating_sub(1);
    let (at, other, entries_at) = match side {
        Side::Primary => (1, end, 2),
        Side::Backup => (end, 1, end.saturating_sub(table.entry_sectors())),
    };
    let header = Header {
        at,
        other,
        first_usable: table.first_usable,
        last_usable: table.last_usable(),
        disk: table.disk,
        entries_at,
        entries: u32::try_from(table.entries.len()).unwrap_or(u32::MAX),
        entries_crc: crc32fast::hash(&entries),
    };
    let sector_bytes = usize::try_from(table.sector_bytes).unwrap_or_default();
    entries.resize(entries.len().next_multiple_of(sector_bytes.max(1)), 0);
    let offset = |sector: u64| sector.saturating_mul(table.sector_bytes);
    vec![
        Step::Write { offset: offset(entries_at), bytes: entries },
        Step::Write { offset: offset(at), bytes: header.encode(sector_bytes) },
        Step::Flush,
    ]
}
