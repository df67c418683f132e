// SPDX-License-Identifier: Apache-2.0
//! The power goes at any point of a change of the partition table: one copy is always whole, the
//! boot partition is always in it, and the next run comes to the same end.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test's own steps may fail loudly"
)]

use std::collections::BTreeMap;

use kubermesh_storage::gpt::{self, Entry, Guid, ReadAt, Step};
use kubermesh_storage::{Layout, Room};
use proptest::prelude::*;

const SECTOR: usize = 512;
/// 1 GiB: the size to which a stick's image of 514 MiB was written.
const DISK_SECTORS: u64 = 2 * 1024 * 1024;
const IMAGE_SECTORS: u64 = 514 * 2048;

/// A disk that keeps only what was written to it.
#[derive(Clone, Default)]
struct Sparse(BTreeMap<u64, [u8; SECTOR]>);

impl ReadAt for Sparse {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> std::io::Result<()> {
        for (index, piece) in (0..).zip(into.chunks_mut(SECTOR)) {
            let sector = self.0.get(&(offset / SECTOR as u64 + index)).unwrap_or(&[0; SECTOR]);
            piece.copy_from_slice(&sector[..piece.len()]);
        }
        Ok(())
    }
}

impl Sparse {
    fn apply(&mut self, steps: &[Step]) {
        for (place, sector) in sectors(steps) {
            self.0.insert(place, sector);
        }
    }
}

/// A sector's place and its bytes.
type Sector = (u64, [u8; SECTOR]);

/// Each sector that the steps write, in their order.
fn sectors(steps: &[Step]) -> Vec<Sector> {
    let mut all = Vec::new();
    for step in steps {
        let Step::Write { offset, bytes } = step else { continue };
        assert!(bytes.len() % SECTOR == 0 && offset % SECTOR as u64 == 0);
        for (index, sector) in (0..).zip(bytes.chunks(SECTOR)) {
            all.push((offset / SECTOR as u64 + index, sector.try_into().unwrap()));
        }
    }
    all
}

fn boot_partition() -> Entry {
    Entry {
        kind: Guid::parse("c12a7328-f81f-11d2-ba4b-00a0c93ec93b").unwrap(),
        guid: Guid::from_digits(0xb007),
        first: 2048,
        last: 513 * 2048 - 1,
        attributes: 0,
        name: Entry::name_from("kubermesh-esp"),
    }
}

/// A stick as `make usb` and `dd` leave it: both copies within the image, nothing at the end.
fn fresh_stick() -> Sparse {
    let mut entries = vec![None; 128];
    entries[0] = Some(boot_partition());
    let table = gpt::Table {
        sector_bytes: 512,
        disk_sectors: IMAGE_SECTORS,
        disk: Guid::from_digits(0xd15c),
        first_usable: 34,
        entries,
    };
    let mut disk = Sparse::default();
    disk.apply(&gpt::replace(&table));
    disk
}

/// One write to the table at a time, as a node makes them: mend, add, mark the one, mark the other.
fn next_change(disk: &Sparse) -> Vec<Step> {
    let reading = gpt::read(disk, DISK_SECTORS, 512).expect("a table");
    let mending = gpt::repair(&reading);
    if !mending.is_empty() {
        return mending;
    }
    let layout = Layout::of(&reading.table);
    if !layout.add.is_empty() {
        let mut number = 100;
        return gpt::replace(&layout.apply(&reading.table, || {
            number += 1;
            number
        }));
    }
    let mut table = reading.table;
    let unmade = table.entries.iter_mut().flatten().skip(1).find(|entry| !entry.is_made());
    match unmade {
        Some(entry) => entry.attributes |= gpt::MADE,
        None => return Vec::new(),
    }
    gpt::replace(&table)
}

/// Runs to the end and says what the table is then.
fn finish(mut disk: Sparse) -> gpt::Table {
    for _ in 0..10 {
        let change = next_change(&disk);
        if change.is_empty() {
            return gpt::read(&disk, DISK_SECTORS, 512).unwrap().table;
        }
        disk.apply(&change);
    }
    panic!("the changes do not come to an end");
}

/// What survives of writes since the last flush: `fate` says for each sector 0 old, 1 new, 2 torn,
/// 3 garbage.
fn cut(before: &Sparse, unflushed: &[Sector], fates: &[u8]) -> Sparse {
    let mut disk = before.clone();
    for ((place, new), fate) in unflushed.iter().zip(fates.iter().cycle()) {
        let old = before.0.get(place).copied().unwrap_or([0; SECTOR]);
        let mut sector = if *fate == 1 { *new } else { old };
        match fate {
            2 => sector[..100].copy_from_slice(&new[..100]),
            3 => sector = [0xa5; SECTOR],
            _ => {}
        }
        disk.0.insert(*place, sector);
    }
    disk
}

fn judge(disk: Sparse, what: &str) {
    let reading = gpt::read(&disk, DISK_SECTORS, 512);
    let table = reading.unwrap_or_else(|refusal| panic!("{what}: {refusal}")).table;
    assert_eq!(table.entries[0], Some(boot_partition()), "{what}");
    assert_eq!(finish(disk), whole(), "{what}");
}

/// By hand: 514 to 1023 MiB are free; STATE takes 64, DATA the rest.
fn whole() -> gpt::Table {
    let ours = |kind: u128, guid: &str, first: u64, last: u64, name| {
        let guid = Guid::parse(guid).unwrap();
        let attributes = 0x0001_0000_0000_0000;
        Some(Entry { kind: Guid::from_digits(kind), guid, first, last, attributes, name })
    };
    let mut entries = vec![None; 128];
    entries[0] = Some(boot_partition());
    entries[1] = ours(
        0x5b1e3f0c_9a47_4d52_8c61_7e20d4b9a813,
        "00000000-0000-4000-8000-000000000065",
        513 * 2048,
        577 * 2048 - 1,
        Entry::name_from("kubermesh-state"),
    );
    entries[2] = ours(
        0xe07c1d96_42ab_4f3e_b5d8_06f1938c2e7a,
        "00000000-0000-4000-8000-000000000066",
        577 * 2048,
        1023 * 2048 - 1,
        Entry::name_from("kubermesh-data"),
    );
    let disk = Guid::from_digits(0xd15c);
    gpt::Table { sector_bytes: 512, disk_sectors: DISK_SECTORS, disk, first_usable: 34, entries }
}

/// The stick before each change of a first boot, and the changes.
fn first_boot() -> Vec<(Sparse, Vec<Step>)> {
    let mut disk = fresh_stick();
    let mut story = Vec::new();
    loop {
        let change = next_change(&disk);
        if change.is_empty() {
            return story;
        }
        story.push((disk.clone(), change.clone()));
        disk.apply(&change);
    }
}

/// The writes between two flushes, each with the disk before them.
fn epochs() -> Vec<(Sparse, Vec<Sector>)> {
    let mut epochs = Vec::new();
    for (mut disk, change) in first_boot() {
        for part in change.split_inclusive(|step| *step == Step::Flush) {
            epochs.push((disk.clone(), sectors(part)));
            disk.apply(part);
        }
    }
    epochs
}

#[test]
fn a_first_boot_changes_the_table_four_times_and_ends_with_both_rooms() {
    assert_eq!(first_boot().len(), 4, "mend, add, mark STATE, mark DATA");
    assert_eq!(finish(fresh_stick()), whole());
    assert_eq!(Room::State.kind(), Guid::from_digits(0x5b1e3f0c_9a47_4d52_8c61_7e20d4b9a813));
}

#[test]
fn a_cut_after_any_sector_with_the_last_one_torn_leaves_a_stick_that_boots() {
    let mut cuts = 0;
    for (epoch, (before, writes)) in (0..).zip(epochs()) {
        for count in 0..=writes.len() {
            for last in [0, 1, 2, 3] {
                let mut fates = vec![1; count];
                if let Some(fate) = fates.last_mut() {
                    *fate = last;
                }
                let disk = cut(&before, &writes[..count], &fates);
                judge(disk, &format!("epoch {epoch}, {count} sectors, the last {last}"));
                cuts += 1;
            }
        }
    }
    assert!(cuts > 1000, "{cuts}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_disk_that_writes_in_any_order_and_tears_any_sector_leaves_a_stick_that_boots(
        epoch in 0usize..8,
        fates in proptest::collection::vec(0u8..4, 66),
    ) {
        let epochs = epochs();
        let (before, writes) = &epochs[epoch % epochs.len()];
        judge(cut(before, writes, &fates), &format!("epoch {epoch}, {fates:?}"));
    }

    #[test]
    fn foreign_bytes_are_refused_and_never_a_panic(
        bytes in proptest::collection::vec(any::<u8>(), 512),
        place in 0usize..92,
        byte in any::<u8>(),
    ) {
        let mut disk = fresh_stick();
        disk.0.get_mut(&1).unwrap()[place] = byte;
        let _ = gpt::read(&disk, DISK_SECTORS, 512);
        disk.0.insert(1, bytes.try_into().unwrap());
        let _ = gpt::read(&disk, DISK_SECTORS, 512);
    }
}
