// SPDX-License-Identifier: Apache-2.0
//! What the kernel's last life left behind: pstore keeps the end of its log, and STATE takes it.
//!
//! ```text
//! panic ─► the firmware's variables ─► /sys/fs/pstore ─► STATE, crash/<number>/
//!                                           └► deleted, or the next record has no room
//! ```
//!
//! The records are there by then: PID 1's first modprobe loads efi_pstore, a later one what reads
//! the stick. One that comes late all the same is found by the next boot.

use std::fs::{DirBuilder, File};
use std::io::{Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::error::{StorageError, in_one_line};
use crate::place::Place;
use crate::stick::Faults;

/// Keeps what is there, and says it in one sentence; none where the last life ended well.
pub(crate) fn keep(place: &Place, has_state: bool, faults: &mut Faults) -> Option<String> {
    let records = names(&place.pstore);
    let first = records.first()?;
    let how = ending(&place.pstore.join(first));
    if !has_state {
        return Some(format!("{how}: {}", place.pstore.display()));
    }
    match move_to(&place.state.join(FOLDER), &place.pstore, &records) {
        Ok(folder) => Some(format!("{how}: {}", folder.display())),
        Err(refusal) => {
            faults.add("crash record", &in_one_line(&refusal));
            Some(format!("{how}: {}", place.pstore.display()))
        }
    }
}

/// An original goes only when its copy is on the disk.
fn move_to(crashes: &Path, from: &Path, records: &[String]) -> Result<PathBuf, StorageError> {
    let earlier = numbers(crashes);
    let number = earlier.last().copied().unwrap_or(0).saturating_add(1);
    let folder = crashes.join(number.to_string());
    let told = |attempt, path: &Path| {
        let path = path.to_owned();
        move |source| StorageError::Path { attempt, path, source }
    };
    let make = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    make.map_err(told("make", &folder))?;
    for (count, name) in records.iter().enumerate() {
        let original = from.join(name);
        if count < MOST_RECORDS {
            copy(&original, &folder.join(name)).map_err(told("copy", &original))?;
        }
        std::fs::remove_file(&original).map_err(told("delete", &original))?;
    }
    let too_many = earlier.len().saturating_add(1).saturating_sub(MOST_CRASHES);
    for old in earlier.iter().take(too_many) {
        let old = crashes.join(old.to_string());
        std::fs::remove_dir_all(&old).map_err(told("delete", &old))?;
    }
    Ok(folder)
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    File::open(from)?.take(LONGEST).read_to_end(&mut bytes)?;
    let mut copy = File::create(to)?;
    copy.write_all(&bytes)?;
    copy.sync_all()?;
    File::open(to.parent().unwrap_or(to))?.sync_all()
}

/// What the kernel wrote above its words: `Panic#2 Part1`, `Oops#1 Part3` (fs/pstore/platform.c).
fn ending(record: &Path) -> String {
    let mut head = String::new();
    let read = File::open(record).map(|file| file.take(64).read_to_string(&mut head));
    let kind = head.split('#').next().filter(|_| read.is_ok()).unwrap_or_default();
    match kind {
        "Panic" => "its last life ended by a panic".to_owned(),
        "Oops" => "its last life had an oops".to_owned(),
        _ => "its last life left a record".to_owned(),
    }
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return vec![] };
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    names
}

fn numbers(folder: &Path) -> Vec<u64> {
    let mut numbers: Vec<u64> = names(folder).iter().filter_map(|name| name.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}

const FOLDER: &str = "crash";
/// The newest stay. With the two bounds below that is 4 MiB of STATE's 64 at most.
const MOST_CRASHES: usize = 4;
/// A panic's 10 KiB (CONFIG_PSTORE_DEFAULT_KMSG_BYTES) are some ten variables of a kilobyte each.
const MOST_RECORDS: usize = 64;
const LONGEST: u64 = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    struct Ground {
        folder: tempfile::TempDir,
        faults: Faults,
    }

    impl Ground {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            for name in ["pstore", "state"] {
                std::fs::create_dir(folder.path().join(name)).unwrap();
            }
            Self { folder, faults: Faults::default() }
        }

        fn record(&self, name: &str, text: &str) {
            std::fs::write(self.folder.path().join("pstore").join(name), text).unwrap();
        }

        /// The sentence, without the folder that differs from run to run.
        fn keep(&mut self, has_state: bool) -> Option<String> {
            let (pstore, state) =
                (self.folder.path().join("pstore"), self.folder.path().join("state"));
            let place = Place { pstore, state, ..Place::default() };
            let root = self.folder.path().display().to_string();
            keep(&place, has_state, &mut self.faults).map(|sentence| sentence.replace(&root, ""))
        }

        fn list(&self, folder: &str) -> Vec<String> {
            names(&self.folder.path().join(folder))
        }
    }

    #[test]
    fn a_life_that_ended_well_leaves_nothing_and_nothing_is_said() {
        let mut ground = Ground::new();
        assert_eq!(ground.keep(true), None);
        assert_eq!(ground.list("state"), Vec::<String>::new());
    }

    #[test]
    fn the_record_of_a_panic_goes_to_state_and_its_place_is_free_again() {
        let mut ground = Ground::new();
        ground.record("dmesg-efi_pstore-1", "Panic#1 Part1\n<0>Kernel panic - not syncing");
        ground.record("dmesg-efi_pstore-2", "Panic#1 Part2\n<6>before");
        let said = "its last life ended by a panic: /state/crash/1";
        assert_eq!(ground.keep(true).as_deref(), Some(said));
        assert_eq!(ground.list("pstore"), Vec::<String>::new());
        assert_eq!(ground.list("state/crash/1"), ["dmesg-efi_pstore-1", "dmesg-efi_pstore-2"]);
        let kept = ground.folder.path().join("state/crash/1/dmesg-efi_pstore-1");
        let text = std::fs::read_to_string(kept).unwrap();
        assert_eq!(text, "Panic#1 Part1\n<0>Kernel panic - not syncing");
        assert_eq!(ground.keep(true), None);
        assert!(ground.faults.0.is_empty());
    }

    #[test]
    fn only_the_last_four_crashes_are_kept_and_none_is_longer_than_its_bound() {
        let mut ground = Ground::new();
        for _ in 0..6 {
            for number in 0..70 {
                ground.record(&format!("dmesg-{number:02}"), &"x".repeat(20_000));
            }
            ground.keep(true).unwrap();
        }
        assert_eq!(ground.list("pstore"), Vec::<String>::new());
        assert_eq!(ground.list("state/crash"), ["3", "4", "5", "6"]);
        assert_eq!(ground.list("state/crash/6").len(), 64);
        let kept = ground.folder.path().join("state/crash/6/dmesg-00");
        assert_eq!(std::fs::metadata(kept).unwrap().len(), 16_384);
    }

    #[test]
    fn without_a_state_the_record_stays_where_it_is() {
        let mut ground = Ground::new();
        ground.record("dmesg-efi_pstore-1", "Oops#1 Part1\n");
        let said = "its last life had an oops: /pstore";
        assert_eq!(ground.keep(false).as_deref(), Some(said));
        assert_eq!(ground.list("pstore"), ["dmesg-efi_pstore-1"]);
    }

    #[test]
    fn a_state_that_takes_nothing_is_a_fault_and_loses_no_record() {
        let mut ground = Ground::new();
        ground.record("dmesg-1", "Panic#1 Part1\n");
        std::fs::write(ground.folder.path().join("state/crash"), "in the way").unwrap();
        let said = "its last life ended by a panic: /pstore";
        assert_eq!(ground.keep(true).as_deref(), Some(said));
        assert_eq!(ground.list("pstore"), ["dmesg-1"]);
        assert_eq!(ground.faults.0.len(), 1);
    }
}
