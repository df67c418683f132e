// SPDX-License-Identifier: Apache-2.0
//! What the folder promises: nothing kept is lost by a torn end, a move or a restart.

use std::path::Path;

use kubermesh_node::time::Time;

use super::disk::{Ask, Disk};
use super::folder::{Bounds, Folder};
use super::{line, segment};
use crate::entry::{Entry, Priority, Source};
use crate::ground::Ground;

const BOUNDS: Bounds = Bounds { total: 4096, segment: 1024 };

fn entry(number: u64, message: &str) -> Entry {
    let mut entry = Entry::said(Source::Output, "x", Priority::INFO, message.as_bytes());
    (entry.number, entry.time) = (number, Time::from_millis(number));
    entry
}

fn lines(entries: &[Entry]) -> Vec<u8> {
    let mut lines = Vec::new();
    entries.iter().for_each(|entry| line::write(&serde_json::to_vec(entry).unwrap(), &mut lines));
    lines
}

fn numbers(folder: &Path) -> Vec<u64> {
    let mut found = Vec::new();
    for (number, _) in segment::list(folder).unwrap() {
        let file = std::fs::File::open(segment::path(folder, number)).unwrap();
        let (mut chunk, mut at) = (Vec::new(), 0);
        while let Some(next) = segment::scan(&file, at, &mut chunk, |_, _, json| {
            found.extend(serde_json::from_slice::<Entry>(json).ok().map(|entry| entry.number));
            true
        })
        .unwrap()
        {
            at = next;
        }
    }
    found
}

#[test]
fn a_segment_torn_at_any_byte_keeps_each_whole_line_before_and_goes_on() {
    let whole = tempfile::tempdir().unwrap();
    let mut folder = Folder::open(whole.path(), BOUNDS, "b").unwrap();
    (1..=3).for_each(|number| folder.append(&lines(&[entry(number, "a")]), 0).unwrap());
    let bytes = std::fs::read(segment::path(whole.path(), 1)).unwrap();
    let ends: Vec<usize> = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n')
        .map(|(at, _)| at + 1)
        .collect();
    assert_eq!(ends.len(), 4);
    for cut in 0..=bytes.len() {
        for tail in [&b""[..], b"\0\0\0\0", b"garbage\n"] {
            let torn = tempfile::tempdir().unwrap();
            let kept = [&bytes[..cut], tail].concat();
            std::fs::write(segment::path(torn.path(), 1), kept).unwrap();
            let mut folder = Folder::open(torn.path(), BOUNDS, "b").unwrap();
            folder.append(&lines(&[entry(9, "after")]), 0).unwrap();
            let whole_lines = ends.iter().filter(|end| **end <= cut).count();
            let wanted: Vec<u64> = (1..u64::try_from(whole_lines).unwrap()).chain([9]).collect();
            assert_eq!(numbers(torn.path()), wanted, "cut at {cut}, then {tail:?}");
        }
    }
}

#[test]
fn the_oldest_segment_goes_and_the_folder_stays_within_its_bounds() {
    let place = tempfile::tempdir().unwrap();
    let mut folder = Folder::open(place.path(), BOUNDS, "b").unwrap();
    (1..=200).for_each(|number| folder.append(&lines(&[entry(number, "message")]), 0).unwrap());
    let sizes: u64 = segment::list(place.path()).unwrap().iter().map(|(_, size)| size).sum();
    let kept = numbers(place.path());
    assert!(sizes <= 4096, "{sizes} bytes");
    assert_eq!(kept.last(), Some(&200));
    assert!(kept.windows(2).all(|pair| pair[1] == pair[0] + 1) && kept.len() > 15, "{kept:?}");
}

#[test]
fn another_boot_begins_a_segment_and_forgets_the_kernels_numbers() {
    let place = tempfile::tempdir().unwrap();
    let mut said = entry(1, "from the kernel");
    said.sequence = Some(41);
    Folder::open(place.path(), BOUNDS, "b").unwrap().append(&lines(&[said]), 42).unwrap();
    assert_eq!(Folder::open(place.path(), BOUNDS, "b").unwrap().kernel_next(), 42);
    let mut next = Folder::open(place.path(), BOUNDS, "c").unwrap();
    assert_eq!(next.kernel_next(), 0);
    next.append(&lines(&[entry(2, "later")]), 0).unwrap();
    assert_eq!(segment::list(place.path()).unwrap().len(), 2);
}

#[test]
fn what_was_kept_in_memory_is_carried_to_state_once() {
    let root = tempfile::tempdir().unwrap();
    let ground = Ground::under(root.path());
    for folder in ["proc/self", "state", "run"] {
        std::fs::create_dir_all(root.path().join(folder)).unwrap();
    }
    let mounts = |text: String| std::fs::write(&ground.mounts, text).unwrap();
    mounts(String::new());
    let mut disk = Disk::new(ground.clone());
    let write =
        |entries: &[Entry]| Ask::Write { lines: lines(entries), kernel_next: 0, urgent: true };
    let told = disk.perform(write(&[entry(1, "early"), entry(2, "early")]));
    assert!(told.outcome.is_ok() && !told.is_on_state);
    let copy = std::fs::read(segment::path(&ground.memory, 1)).unwrap();
    mounts(format!("/dev/sda2 {} ext4 rw 0 0\n", ground.state.display()));
    let told = disk.perform(Ask::Look);
    assert!(told.outcome.is_ok() && told.is_on_state);
    assert!(disk.perform(write(&[entry(3, "late")])).outcome.is_ok());
    assert!(segment::list(&ground.memory).unwrap().is_empty());
    // Killed before it was removed in memory: the next worker finds it in both places.
    std::fs::write(segment::path(&ground.memory, 1), copy).unwrap();
    assert!(Disk::new(ground.clone()).perform(Ask::Look).is_on_state);
    assert_eq!(numbers(&ground.state.join("log")), [1, 2, 3]);
}
