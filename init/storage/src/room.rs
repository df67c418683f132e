// SPDX-License-Identifier: Apache-2.0
//! The two partitions that a node makes for itself, and where on a disk they go.
//!
//! Pure: a table and random names in, additions out. What is deliberately absent: moving or
//! shrinking anything that is there.

use crate::gpt::{Entry, Guid, Table};

/// What a partition of ours is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// What outlives a boot and is small: the identity, the log.
    State,
    /// Images, containers, volumes.
    Data,
}

impl Room {
    /// In the order in which they lie on the disk.
    pub const ALL: [Self; 2] = [Self::State, Self::Data];

    /// What a person calls it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::State => "STATE",
            Self::Data => "DATA",
        }
    }

    /// The name of the partition and of its file system (ext4 allows 16 bytes).
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::State => "kubermesh-state",
            Self::Data => "kubermesh-data",
        }
    }

    /// Its kind in the table. Our own, since bit 48 of the flags means what we say only for a kind
    /// of ours; drawn at random once, documented in docs/decisions/0005-storage.md.
    #[must_use]
    pub const fn kind(self) -> Guid {
        match self {
            Self::State => Guid::from_digits(0x5b1e_3f0c_9a47_4d52_8c61_7e20_d4b9_a813),
            Self::Data => Guid::from_digits(0xe07c_1d96_42ab_4f3e_b5d8_06f1_938c_2e7a),
        }
    }

    /// Below this it is of no use.
    const fn least_mib(self) -> u64 {
        match self {
            Self::State => 64,
            Self::Data => 256,
        }
    }
}

/// What a disk can be given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Rooms to make, each with its first and last sector.
    pub add: Vec<(Room, u64, u64)>,
    /// Rooms for which there is no space: which, MiB needed, MiB free.
    pub lacking: Vec<(Room, u64, u64)>,
}

impl Layout {
    /// Finds places for the rooms that the table has not, in its largest gap.
    #[must_use]
    pub fn of(table: &Table) -> Self {
        let mut layout = Self::default();
        let mib = MIB.checked_div(table.sector_bytes).unwrap_or(1).max(1);
        let (mut from, until) = largest_gap(table, mib);
        let missing = Room::ALL.into_iter().filter(|room| table.by_kind(room.kind()).is_none());
        for room in missing {
            let free_mib = until.saturating_sub(from).checked_div(mib).unwrap_or(0);
            let size_mib = match room {
                Room::State if free_mib >= ROOMY_MIB => 256,
                Room::State => room.least_mib(),
                Room::Data => free_mib,
            };
            if free_mib < room.least_mib() {
                layout.lacking.push((room, room.least_mib(), free_mib));
                continue;
            }
            let end = from.saturating_add(size_mib.saturating_mul(mib));
            layout.add.push((room, from, end.saturating_sub(1)));
            from = end;
        }
        layout
    }

    /// The table with what is added; `random` names each new partition.
    #[must_use]
    pub fn apply(&self, table: &Table, mut random: impl FnMut() -> u128) -> Table {
        let mut table = table.clone();
        for &(room, first, last) in &self.add {
            let entry = Entry {
                kind: room.kind(),
                guid: Guid::from_random(random()),
                first,
                last,
                attributes: 0,
                name: Entry::name_from(room.label()),
            };
            if let Some(place) = table.entries.iter_mut().find(|place| place.is_none()) {
                *place = Some(entry);
            }
        }
        table
    }
}

/// The largest gap between partitions, from its first sector to the one behind it, both on whole
/// MiB: flash erases in such blocks, and so does every partitioning tool.
fn largest_gap(table: &Table, mib: u64) -> (u64, u64) {
    if !table.has_room_for_backup() {
        return (0, 0);
    }
    let mut areas: Vec<_> = table.numbered().map(|(_, entry)| (entry.first, entry.last)).collect();
    areas.sort_unstable();
    let end = table.last_usable().saturating_add(1);
    areas.push((end, end));
    let (mut free_from, mut best) = (table.first_usable, (0, 0));
    for (first, last) in areas {
        let from = free_from.next_multiple_of(mib);
        let until = first.saturating_sub(first.checked_rem(mib).unwrap_or(0));
        let is_larger = until.saturating_sub(from) > {
            let (from, until): (u64, u64) = best;
            until.saturating_sub(from)
        };
        if is_larger {
            best = (from, until);
        }
        free_from = last.saturating_add(1);
    }
    best
}

const MIB: u64 = 1 << 20;
/// With so much space 256 MiB of log and identity are not missed by DATA.
const ROOMY_MIB: u64 = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk of this size with a boot partition in 1 to 513 MiB.
    fn stick(disk_mib: u64) -> Table {
        let mut entries = vec![None; 128];
        entries[0] = Some(Entry {
            kind: Guid::from_digits(1),
            guid: Guid::from_digits(2),
            first: 2048,
            last: 513 * 2048 - 1,
            attributes: 0,
            name: [0; 36],
        });
        let (disk, disk_sectors) = (Guid::from_digits(3), disk_mib.saturating_mul(2048));
        Table { sector_bytes: 512, disk_sectors, disk, first_usable: 34, entries }
    }

    #[test]
    fn a_stick_of_8_gib_gets_256_mib_of_state_and_the_rest_as_data() {
        let layout = Layout::of(&stick(8192));
        assert_eq!(
            layout.add,
            [(Room::State, 513 * 2048, 769 * 2048 - 1), (Room::Data, 769 * 2048, 8191 * 2048 - 1)]
        );
        assert_eq!(layout.lacking, []);
    }

    #[test]
    fn a_small_stick_gets_what_fits_and_what_does_not_is_told_in_mib() {
        let add = |mib| Layout::of(&stick(mib)).add;
        assert_eq!(
            add(513 + 321),
            [(Room::State, 513 * 2048, 577 * 2048 - 1), (Room::Data, 577 * 2048, 833 * 2048 - 1)]
        );
        let tight = Layout::of(&stick(513 + 320));
        assert_eq!(tight.add, [(Room::State, 513 * 2048, 577 * 2048 - 1)]);
        assert_eq!(tight.lacking, [(Room::Data, 256, 255)]);
        let full = Layout::of(&stick(514));
        assert_eq!(full.add, []);
        assert_eq!(full.lacking, [(Room::State, 64, 0), (Room::Data, 256, 0)]);
    }

    #[test]
    fn what_is_there_is_kept_and_only_the_missing_is_made() {
        let mut table = stick(8192);
        let first = Layout::of(&table);
        table = first.apply(&table, || 9);
        table.entries[2] = None;
        let again = Layout::of(&table);
        assert_eq!(again.add, [(Room::Data, 769 * 2048, 8191 * 2048 - 1)]);
        let whole = again.apply(&table, || 10);
        assert_eq!(Layout::of(&whole), Layout::default());
        assert_eq!(whole.entries[0], stick(8192).entries[0]);
    }
}
