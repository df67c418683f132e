// SPDX-License-Identifier: Apache-2.0
//! The boot stick, step by step: its table made whole, its wishes read, its two partitions made,
//! checked and mounted. Each step that fails becomes a fault, and the next one goes on.

use std::fs::File;
use std::path::Path;

use kubermesh_node::channel::Wrong;
use rustix::fs::{Mode, OFlags, openat};
use rustix::mount::MountAttrFlags;

use crate::disk::{self, Disk};
use crate::error::{StorageError, in_one_line};
use crate::filesystem::{Checked, FileSystem};
use crate::gpt::{self, Guid, Table};
use crate::identity::{bounded, random_bits};
use crate::mount::Mount;
use crate::place::Place;
use crate::room::{Layout, Room};
use crate::say::say;

/// What goes on the way; all of it ends up in the report.
#[derive(Debug, Default)]
pub(crate) struct Faults(pub(crate) Vec<Wrong>);

impl Faults {
    pub(crate) fn add(&mut self, subject: &str, sentence: &str) {
        say(&format!("{subject}: {sentence}"));
        self.0.push(Wrong { subject: subject.to_owned(), sentence: sentence.to_owned() });
    }

    fn keep<T>(&mut self, subject: &str, answer: Result<T, StorageError>) -> Option<T> {
        answer.map_err(|refusal| self.add(subject, &in_one_line(&refusal))).ok()
    }
}

/// A stick that was found.
#[derive(Debug)]
pub(crate) struct Stick {
    disk: Disk,
    /// As long as it is open no other disk gets its name.
    _held: File,
    table: Table,
    pub(crate) is_read_only: bool,
}

impl Stick {
    /// Finds it and makes its table whole, as far as it may be written.
    pub(crate) fn find(place: &Place, faults: &mut Faults) -> Option<(Self, Guid)> {
        let look = || {
            let boot = disk::boot_partition(place)?;
            let disk = disk::find(place, boot)?;
            let (held, reading) = (disk.hold()?, disk.table()?);
            // A copy of it may have appeared meanwhile, and nothing was written yet.
            disk::only(place, boot)?;
            Ok((boot, reading, disk, held))
        };
        let told = |refusal: StorageError| {
            let why = in_one_line(&refusal);
            faults.add("boot stick", &format!("{why}; this node runs from memory"));
        };
        let (boot, reading, disk, held) = look().map_err(told).ok()?;
        let mut is_read_only = disk.is_read_only();
        let steps = gpt::repair(&reading);
        if !is_read_only && !steps.is_empty() {
            say(&format!("mending the partition table of {}", disk.name));
            is_read_only = faults.keep("boot stick", disk.write(&steps)).is_none();
        }
        if is_read_only {
            faults.add(
                "boot stick",
                &format!("{} cannot be written: this node runs from memory", disk.name),
            );
        }
        let mut stick = Self { disk, _held: held, table: reading.table, is_read_only };
        if !is_read_only {
            stick.extend(faults);
        }
        faults.keep("boot stick", stick.disk.announce(&stick.table));
        Some((stick, boot))
    }

    /// Adds what the table lacks, in the free space.
    fn extend(&mut self, faults: &mut Faults) {
        let layout = Layout::of(&self.table);
        for (room, needed, free) in &layout.lacking {
            let word = room.word();
            let sentence = format!("no room for {word}: {needed} MiB needed, {free} MiB free");
            faults.add("boot stick", &sentence);
        }
        if layout.add.is_empty() {
            return;
        }
        let words: Vec<_> = layout.add.iter().map(|(room, _, _)| room.word()).collect();
        say(&format!(
            "first boot from this stick: adding {} to {}",
            words.join(" and "),
            self.disk.name
        ));
        let names: Result<Vec<u128>, _> = layout.add.iter().map(|_| random_bits()).collect();
        let Some(names) = faults.keep("boot stick", names) else { return };
        let mut names = names.into_iter();
        let larger = layout.apply(&self.table, || names.next().unwrap_or_default());
        if faults.keep("boot stick", self.disk.write(&gpt::replace(&larger))).is_some() {
            self.table = larger;
        }
    }

    /// The text of node.toml on the boot partition, which is mounted nowhere and read-only for it.
    pub(crate) fn node_toml(
        &self,
        place: &Place,
        boot: Guid,
        faults: &mut Faults,
    ) -> Option<String> {
        let (number, _) = self.table.by_guid(boot)?;
        let device = self.disk.partition(number);
        let path = Path::new(NODE_TOML);
        let read = || {
            let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY;
            let (kind, source) = (place.esp, Some(device.as_path()));
            let mounted = Mount { kind, source, options: &[("ro", "")], attributes }.detached()?;
            match openat(&mounted, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
                Err(rustix::io::Errno::NOENT) => Ok(None),
                Err(refusal) => {
                    let (path, source) = (path.into(), refusal.into());
                    Err(StorageError::Path { attempt: "open", path, source })
                }
                Ok(file) => bounded(File::from(file), path, NODE_TOML_BYTES).map(Some),
            }
        };
        faults.keep("node.toml", read()).flatten()
    }

    /// The room's file system, complete; none where there is none or it could not be made.
    pub(crate) fn room(&mut self, room: Room, faults: &mut Faults) -> Option<FileSystem> {
        let (number, entry) = self.table.by_kind(room.kind())?;
        let (guid, is_made) = (entry.guid, entry.is_made());
        let mib = entry.sectors().saturating_mul(self.table.sector_bytes) >> 20;
        let device = self.disk.partition(number);
        let system = FileSystem { room, device, counters: self.disk.counters(number) };
        if is_made || self.is_read_only {
            return is_made.then_some(system);
        }
        say(&format!(
            "making the {} partition: {mib} MiB on {}",
            room.word(),
            system.device.display()
        ));
        faults.keep(room.word(), system.make())?;
        faults.keep(room.word(), disk::mark_made(&self.disk, &mut self.table, guid))?;
        Some(system)
    }
}

/// Whether a file system is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Used {
    Yes,
    /// It cannot be used; it may be read.
    No,
    /// Its disk does not answer: who touches it may wait for ever.
    Silent,
}

/// Checks a file system and mounts it; a fault says why it cannot be used.
pub(crate) fn use_it(system: &FileSystem, target: &Path, faults: &mut Faults) -> Used {
    let word = system.room.word();
    let checked = system.check();
    let is_silent = matches!(checked, Err(StorageError::Stalled { .. }));
    match faults.keep(word, checked) {
        None if is_silent => return Used::Silent,
        None => return Used::No,
        Some(Checked::Clean) => {}
        Some(Checked::Mended(last_line)) => {
            faults.add(word, &format!("the file system had errors and was mended: {last_line}"));
        }
    }
    if faults.keep(word, system.attach(target)).is_some() { Used::Yes } else { Used::No }
}

const NODE_TOML: &str = "kubermesh/node.toml";
/// It goes to PID 1 within a message of 64 KiB, in which JSON may double it.
const NODE_TOML_BYTES: u64 = 16 * 1024;
