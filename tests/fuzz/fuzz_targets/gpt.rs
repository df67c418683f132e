// SPDX-License-Identifier: Apache-2.0
//! A stick's partition table: what is read is mended to two whole copies of the same, within the disk.
#![no_main]

use kubermesh_storage::gpt::{self, Copy, ReadAt, Step};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // Flags, two headers, and the entries: the disk is made of them, so that an input stays small.
    let Some((flags, rest)) = bytes.split_first() else { return };
    let mut disk = Disk(vec![0; SECTORS * 512]);
    let (first, rest) = rest.split_at(rest.len().min(92));
    let (second, entries) = rest.split_at(rest.len().min(92));
    let entries = &entries[..entries.len().min(32 * 512)];
    disk.put(512, first);
    disk.put(1024, entries);
    disk.put((SECTORS - 33) * 512, entries);
    disk.put((SECTORS - 1) * 512, second);
    if flags & 1 == 0 {
        disk.seal(1);
        disk.seal(SECTORS - 1);
    }
    let Ok(reading) = gpt::read(&disk, SECTORS as u64, 512) else { return };
    let steps = gpt::repair(&reading);
    disk.carry_out(&steps);
    let mended = gpt::read(&disk, SECTORS as u64, 512).unwrap();
    assert_eq!(mended.table, reading.table, "mending changed the table");
    if reading.table.has_room_for_backup() {
        assert_eq!((mended.primary, mended.backup), (Copy::Whole, Copy::Whole));
        assert!(gpt::repair(&mended).is_empty());
    }
    disk.carry_out(&gpt::replace(&mended.table));
    assert_eq!(gpt::read(&disk, SECTORS as u64, 512).unwrap().table, mended.table);
});

const SECTORS: usize = 256;

struct Disk(Vec<u8>);

impl Disk {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Puts the right checksums into a header: no fuzzer guesses them.
    fn seal(&mut self, sector: usize) {
        let head = sector * 512;
        let number = |at: usize| u32::from_le_bytes(self.0[head + at..][..4].try_into().unwrap());
        let (length, count) = (number(12) as usize, number(80) as usize);
        let entries_at = u64::from_le_bytes(self.0[head + 72..][..8].try_into().unwrap());
        let from = usize::try_from(entries_at).unwrap().saturating_mul(512);
        let to = from.saturating_add(count.saturating_mul(128));
        if let Some(entries) = self.0.get(from..to) {
            let sum = crc32fast::hash(entries);
            self.put(head + 88, &sum.to_le_bytes());
        }
        self.put(head + 16, &[0; 4]);
        if let Some(header) = self.0.get(head..head + length.min(512)) {
            let sum = crc32fast::hash(header);
            self.put(head + 16, &sum.to_le_bytes());
        }
    }

    fn carry_out(&mut self, steps: &[Step]) {
        for step in steps {
            if let Step::Write { offset, bytes } = step {
                let at = usize::try_from(*offset).unwrap();
                assert!(at >= 512 && at + bytes.len() <= self.0.len(), "a write outside");
                assert!(at % 512 == 0 && bytes.len() % 512 == 0, "half a sector");
                self.put(at, bytes);
            }
        }
    }
}

impl ReadAt for Disk {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> std::io::Result<()> {
        let at = usize::try_from(offset).unwrap();
        let from = self.0.get(at..at + into.len()).ok_or(std::io::ErrorKind::UnexpectedEof)?;
        into.copy_from_slice(from);
        Ok(())
    }
}
