// SPDX-License-Identifier: Apache-2.0
//! Reads both copies of the table and says which of them are whole.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::entry::{Entry, LENGTH};
use super::guid::Guid;
use super::header::Header;

/// Anything with bytes at offsets.
pub trait ReadAt {
    /// Fills `into` from `offset`.
    ///
    /// # Errors
    /// The disk's own, or its end.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> std::io::Result<()>;
}

impl ReadAt for File {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> std::io::Result<()> {
        self.read_exact_at(into, offset)
    }
}

/// The partitions of a disk and where there is room for more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Bytes a sector, as the disk says.
    pub sector_bytes: u64,
    /// How many sectors the disk has.
    pub disk_sectors: u64,
    /// The disk's name.
    pub disk: Guid,
    /// The first sector that a partition may have.
    pub first_usable: u64,
    /// By number, the first is partition 1.
    pub entries: Vec<Option<Entry>>,
}

/// How one copy of the table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copy {
    /// Whole, and where it belongs.
    Whole,
    /// Whole, but it says something else than the table that holds, or lies elsewhere.
    Stale,
    /// Torn, or there is none.
    Broken,
}

/// What was found on a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The table that holds: the primary copy where that is whole.
    pub table: Table,
    /// The copy at the disk's start.
    pub primary: Copy,
    /// The copy at the disk's end.
    pub backup: Copy,
}

/// Why a disk has no table for us.
#[derive(Debug, thiserror::Error)]
pub enum GptError {
    /// Neither copy is whole.
    #[error("neither copy of the partition table is whole")]
    NoTable,
    /// The primary copy's entries are not behind its header: somebody needs the sectors there for a boot loader.
    #[error("its entries are at sector {sector}, not at 2: nothing is written to such a disk")]
    Elsewhere {
        /// Where they are.
        sector: u64,
    },
    /// Too small for a table, or of strange sectors.
    #[error("{sectors} sectors of {sector_bytes} bytes, allowed are 68 or more of 512 to 4096")]
    Geometry {
        /// How many.
        sectors: u64,
        /// How long each.
        sector_bytes: u64,
    },
    /// The disk does not answer.
    #[error("read the partition table")]
    Disk(#[from] std::io::Error),
}

impl Table {
    /// How many sectors the entries take.
    #[must_use]
    pub const fn entry_sectors(&self) -> u64 {
        let bytes = (self.entries.len() as u64).saturating_mul(LENGTH as u64);
        bytes.div_ceil(self.sector_bytes)
    }

    /// The last sector that a partition may have: behind it lie the backup's entries and header.
    #[must_use]
    pub const fn last_usable(&self) -> u64 {
        self.disk_sectors.saturating_sub(self.entry_sectors()).saturating_sub(2)
    }

    /// Whether neither a partition nor the primary copy lies where the backup belongs.
    #[must_use]
    pub fn has_room_for_backup(&self) -> bool {
        let is_free = |last| last <= self.last_usable();
        is_free(self.lowest().saturating_sub(1))
            && self.numbered().all(|(_, entry)| is_free(entry.last))
    }

    /// The first sector behind the primary copy.
    const fn lowest(&self) -> u64 {
        self.entry_sectors().saturating_add(2)
    }

    /// The partition of this name, with its number.
    #[must_use]
    pub fn by_guid(&self, guid: Guid) -> Option<(u32, &Entry)> {
        self.numbered().find(|(_, entry)| entry.guid == guid)
    }

    /// The first partition of this kind, with its number.
    #[must_use]
    pub fn by_kind(&self, kind: Guid) -> Option<(u32, &Entry)> {
        self.numbered().find(|(_, entry)| entry.kind == kind)
    }

    /// Each partition with its number, from 1.
    pub fn numbered(&self) -> impl Iterator<Item = (u32, &Entry)> {
        (1..).zip(&self.entries).filter_map(|(number, entry)| Some((number, entry.as_ref()?)))
    }
}

/// Reads the table of a disk of this many sectors.
///
/// # Errors
/// The disk does not answer, neither copy is whole, or the primary's entries are where we would not write them.
pub fn read(disk: &impl ReadAt, disk_sectors: u64, sector_bytes: u64) -> Result<Reading, GptError> {
    let is_usual = sector_bytes.is_power_of_two() && (512..=4096).contains(&sector_bytes);
    if !is_usual || disk_sectors < LEAST_SECTORS {
        return Err(GptError::Geometry { sectors: disk_sectors, sector_bytes });
    }
    let end = disk_sectors.saturating_sub(1);
    let primary = copy_at(disk, 1, disk_sectors, sector_bytes)?;
    let backup = copy_at(disk, end, disk_sectors, sector_bytes)?;
    match (primary, backup) {
        (Some(first), Some(second)) => {
            let is_same = first.table == second.table;
            let backup = if is_same { Copy::Whole } else { Copy::Stale };
            let primary = if first.other == end { Copy::Whole } else { Copy::Stale };
            Ok(Reading { table: first.table, primary, backup })
        }
        (Some(first), None) => {
            let primary = if first.other == end { Copy::Whole } else { Copy::Stale };
            Ok(Reading { table: first.table, primary, backup: Copy::Broken })
        }
        (None, Some(second)) => {
            Ok(Reading { table: second.table, primary: Copy::Broken, backup: Copy::Whole })
        }
        (None, None) => Err(GptError::NoTable),
    }
}

struct Found {
    table: Table,
    other: u64,
}

fn copy_at(
    disk: &impl ReadAt,
    at: u64,
    disk_sectors: u64,
    sector_bytes: u64,
) -> Result<Option<Found>, GptError> {
    let length = usize::try_from(sector_bytes).unwrap_or_default();
    let mut sector = vec![0; length];
    disk.read_at(at.saturating_mul(sector_bytes), &mut sector)?;
    let Some(header) = Header::decode(&sector, at) else { return Ok(None) };
    let count = usize::try_from(header.entries).unwrap_or_default();
    let mut bytes = vec![0; count.saturating_mul(LENGTH)];
    let entry_sectors = (bytes.len() as u64).div_ceil(sector_bytes);
    let entries_end = header.entries_at.saturating_add(entry_sectors);
    if header.entries_at < 2 || entries_end > disk_sectors {
        return Ok(None);
    }
    disk.read_at(header.entries_at.saturating_mul(sector_bytes), &mut bytes)?;
    if crc32fast::hash(&bytes) != header.entries_crc {
        return Ok(None);
    }
    // Whole, but where we write one copy the entries of the other could be.
    let sector = header.entries_at;
    match at {
        1 if sector != 2 => return Err(GptError::Elsewhere { sector }),
        2.. if sector != at.saturating_sub(entry_sectors) => return Ok(None),
        _ => {}
    }
    let entries: Vec<_> = bytes.as_chunks::<LENGTH>().0.iter().map(Entry::decode).collect();
    let (disk, first_usable) = (header.disk, header.first_usable);
    let table = Table { sector_bytes, disk_sectors, disk, first_usable, entries };
    Ok(table.is_sound().then_some(Found { table, other: header.other }))
}

impl Table {
    /// The usable part begins behind the table, each partition lies in it and none in another: what a checksum
    /// cannot say.
    fn is_sound(&self) -> bool {
        let mut areas: Vec<_> =
            self.numbered().map(|(_, entry)| (entry.first, entry.last)).collect();
        areas.sort_unstable();
        let inside = |&(first, last): &(u64, u64)| {
            first >= self.first_usable && first <= last && last < self.disk_sectors
        };
        self.first_usable >= self.lowest()
            && areas.iter().all(inside)
            && areas.is_sorted_by(|(_, last), (first, _)| last < first)
    }
}

/// Both copies of the smallest table of 512-byte sectors, and a sector between them.
const LEAST_SECTORS: u64 = 68;

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::super::{Step, repair, replace};
    use super::*;

    struct Disk(Vec<u8>);

    impl ReadAt for Disk {
        fn read_at(&self, offset: u64, into: &mut [u8]) -> std::io::Result<()> {
            let from =
                self.0.get(usize::try_from(offset).unwrap()..).ok_or(ErrorKind::InvalidInput)?;
            into.copy_from_slice(from.get(..into.len()).ok_or(ErrorKind::UnexpectedEof)?);
            Ok(())
        }
    }

    impl Disk {
        fn carry_out(&mut self, steps: &[Step]) {
            for step in steps {
                let Step::Write { offset, bytes } = step else { continue };
                let at = usize::try_from(*offset).unwrap();
                self.0[at..][..bytes.len()].copy_from_slice(bytes);
            }
        }
    }

    /// An empty table of so many entries, on a disk of 256 sectors.
    fn table(entries: usize, first_usable: u64) -> (Table, Disk) {
        let disk = Guid::from_digits(7);
        let entries = vec![None; entries];
        let table = Table { sector_bytes: 512, disk_sectors: 256, disk, first_usable, entries };
        (table, Disk(vec![0; 256 * 512]))
    }

    #[test]
    fn a_table_longer_than_half_its_disk_has_no_backup_that_would_overwrite_it() {
        let (table, mut disk) = table(896, 226);
        disk.carry_out(&replace(&table));
        let reading = read(&disk, 256, 512).unwrap();
        assert_eq!((reading.primary, reading.backup), (Copy::Whole, Copy::Broken));
        assert_eq!(repair(&reading), []);
    }

    /// Writes the header in sector `at` anew, with its entries at another place.
    fn move_entries(disk: &mut Disk, at: u64, entries_at: u64) {
        let sector = |number: u64| usize::try_from(number.saturating_mul(512)).unwrap();
        let header = Header::decode(&disk.0[sector(at)..][..512], at).unwrap();
        let entries = disk.0[sector(header.entries_at)..][..128 * LENGTH].to_vec();
        disk.0[sector(entries_at)..][..entries.len()].copy_from_slice(&entries);
        let header = Header { entries_at, ..header }.encode(512);
        disk.0[sector(at)..][..512].copy_from_slice(&header);
    }

    /// Found by fuzzing: the backup was written into the primary copy's entries.
    #[test]
    fn a_disk_whose_entries_are_elsewhere_is_not_written_to() {
        let (table, mut disk) = table(128, 34);
        disk.carry_out(&replace(&table));
        move_entries(&mut disk, 1, 222);
        assert!(matches!(read(&disk, 256, 512), Err(GptError::Elsewhere { sector: 222 })));
    }

    #[test]
    fn a_backup_whose_entries_are_elsewhere_is_written_where_it_belongs() {
        let (table, mut disk) = table(128, 34);
        disk.carry_out(&replace(&table));
        move_entries(&mut disk, 255, 100);
        let reading = read(&disk, 256, 512).unwrap();
        assert_eq!((reading.primary, reading.backup), (Copy::Whole, Copy::Broken));
        disk.carry_out(&repair(&reading));
        let reading = read(&disk, 256, 512).unwrap();
        assert_eq!((reading.primary, reading.backup), (Copy::Whole, Copy::Whole));
    }

    #[test]
    fn a_table_that_would_give_its_own_place_to_a_partition_is_none() {
        let (table, mut disk) = table(128, 33);
        disk.carry_out(&replace(&table));
        assert!(matches!(read(&disk, 256, 512), Err(GptError::NoTable)));
    }
}
