// SPDX-License-Identifier: Apache-2.0
//! Disks as sysfs shows them, their tables, and the one that this machine was booted from.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use kubermesh_sys::block;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::error::StorageError;
use crate::gpt::{self, Entry, Guid, Reading, Step};
use crate::place::Place;
use crate::say::say;
use crate::uevents::{Uevents, later};

/// A whole disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Disk {
    /// The kernel's name: `sda`.
    pub(crate) name: String,
    class: PathBuf,
    device: PathBuf,
}

impl Disk {
    fn named(place: &Place, name: &str) -> Self {
        let class = place.sysfs.join("class/block").join(name);
        Self { name: name.to_owned(), class, device: place.dev.join(name) }
    }

    /// Write protected: the switch on an SD card, a worn-out stick.
    pub(crate) fn is_read_only(&self) -> bool {
        self.number("ro") == 1
    }

    /// Reads its table.
    pub(crate) fn table(&self) -> Result<Reading, StorageError> {
        let file = self.open(File::options().read(true))?;
        let sector_bytes = self.number("queue/logical_block_size").max(512);
        // sysfs counts in 512 bytes whatever the disk does (Documentation/ABI/stable/sysfs-block).
        let bytes = self.number("size").saturating_mul(512);
        let sectors = bytes.checked_div(sector_bytes).unwrap_or(0);
        gpt::read(&file, sectors, sector_bytes)
            .map_err(|source| StorageError::Table { disk: self.name.clone(), source })
    }

    /// Carries out the steps, in their order. Past the kernel's cache, which writes whole pages: what is
    /// beside a step, the protective MBR and an owner's last sectors, is not written again.
    pub(crate) fn write(&self, steps: &[Step]) -> Result<(), StorageError> {
        let direct = i32::try_from(OFlags::DIRECT.bits()).unwrap_or_default();
        let file = self.open(File::options().read(true).write(true).custom_flags(direct))?;
        let attempt = || {
            steps.iter().try_for_each(|step| match step {
                Step::Write { offset, bytes } => Aligned::of(bytes).write(&file, *offset),
                Step::Flush => file.sync_data(),
            })
        };
        attempt().map_err(|source| StorageError::Write { disk: self.name.clone(), source })
    }

    /// Tells the kernel of the table's partitions that it does not know.
    pub(crate) fn announce(&self, table: &gpt::Table) -> Result<(), StorageError> {
        let file = self.open(File::options().read(true))?;
        let unknown =
            table.numbered().filter(|(number, _)| !self.class.join(self.part(*number)).exists());
        for (number, entry) in unknown {
            let start = entry.first.saturating_mul(table.sector_bytes);
            let length = entry.sectors().saturating_mul(table.sector_bytes);
            match block::add_partition(&file, number, start, length) {
                Ok(()) | Err(Errno::BUSY) => {}
                Err(source) => {
                    let disk = self.name.clone();
                    return Err(StorageError::Announce { disk, number, source });
                }
            }
        }
        Ok(())
    }

    /// The device of a partition. devtmpfs makes it before the kernel's call returns.
    pub(crate) fn partition(&self, number: u32) -> PathBuf {
        self.device.with_file_name(self.part(number))
    }

    /// What a partition has read and written so far.
    pub(crate) fn counters(&self, number: u32) -> PathBuf {
        self.class.join(self.part(number)).join("stat")
    }

    /// `sda1`, but `nvme0n1p1`: a letter only after a digit (disk_name(), block/partitions/core.c).
    fn part(&self, number: u32) -> String {
        format!("{}{number}", self.part_begins())
    }

    fn part_begins(&self) -> String {
        let separator =
            if self.name.ends_with(|last: char| last.is_ascii_digit()) { "p" } else { "" };
        format!("{}{separator}", self.name)
    }

    fn is_part(&self, name: &str) -> bool {
        let number = name.strip_prefix(&self.part_begins());
        number.is_some_and(|number| number.bytes().all(|digit| digit.is_ascii_digit()))
    }

    fn number(&self, file: &str) -> u64 {
        let text = std::fs::read_to_string(self.class.join(file)).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    }

    fn open(&self, options: &OpenOptions) -> Result<File, StorageError> {
        let path = self.device.clone();
        options.open(&self.device).map_err(|source| StorageError::Path {
            attempt: "open",
            path,
            source,
        })
    }
}

/// Bytes at an address that every disk takes for a direct write (open(2), O_DIRECT).
struct Aligned {
    buffer: Vec<u8>,
    from: usize,
    length: usize,
}

impl Aligned {
    fn of(bytes: &[u8]) -> Self {
        const PAGE: usize = 4096;
        let mut buffer = vec![0; bytes.len().saturating_add(PAGE)];
        let from = buffer.as_ptr().align_offset(PAGE);
        buffer.iter_mut().skip(from).zip(bytes).for_each(|(place, byte)| *place = *byte);
        Self { buffer, from, length: bytes.len() }
    }

    fn write(&self, file: &File, offset: u64) -> std::io::Result<()> {
        let end = self.from.saturating_add(self.length);
        file.write_all_at(self.buffer.get(self.from..end).unwrap_or_default(), offset)
    }
}

/// The disk that the boot loader started from, once it has appeared.
pub(crate) fn find(place: &Place, partition: Guid) -> Result<Disk, StorageError> {
    let news = Uevents::listen()?;
    let start = Instant::now();
    let mut until = later(start, place.stick_patience);
    let last = later(start, place.stick_patience.saturating_mul(3));
    let mut has_said = false;
    loop {
        if let Some(disk) = only(place, partition)? {
            return Ok(disk);
        }
        if !has_said {
            let seconds = place.stick_patience.as_secs();
            say(&format!("waiting for the boot stick (partition {partition}), up to {seconds} s"));
            has_said = true;
        }
        if !news.wait("block", until.min(last)) {
            let seen = whole_disks(place).join(" ");
            let seen = if seen.is_empty() { "none".to_owned() } else { seen };
            let (partition, seconds) = (partition.to_string(), start.elapsed().as_secs());
            return Err(StorageError::StickAbsent { partition, seconds, seen });
        }
        until = later(Instant::now(), place.stick_patience);
    }
}

/// The one disk that has this partition, where there is one.
///
/// # Errors
/// Two have it: nothing may be written to either.
pub(crate) fn only(place: &Place, partition: Guid) -> Result<Option<Disk>, StorageError> {
    let mut found: Vec<Disk> =
        whole_disks(place).iter().map(|name| Disk::named(place, name)).collect();
    found.retain(|disk| disk.has(partition));
    if found.len() > 1 {
        let disks: Vec<&str> = found.iter().map(|disk| disk.name.as_str()).collect();
        let (partition, disks) = (partition.to_string(), disks.join(" and "));
        return Err(StorageError::ManySticks { partition, disks });
    }
    Ok(found.pop())
}

impl Disk {
    /// First by what the kernel knows, which reads nothing; then in the table of a disk whose
    /// partitions have no names for it: it does not look at a backup, and ours may be all that is left.
    fn has(&self, partition: Guid) -> bool {
        let wanted = format!("PARTUUID={partition}");
        let is_it = |text: &String| text.lines().any(|line| line.eq_ignore_ascii_case(&wanted));
        self.uevents().iter().any(is_it)
            || self.has_no_names()
                && self.table().is_ok_and(|found| found.table.by_guid(partition).is_some())
    }

    /// Also where the partitions were told by [`Disk::announce`], on a second run.
    fn has_no_names(&self) -> bool {
        self.uevents().iter().all(|text| !text.contains("PARTUUID="))
    }

    /// What the kernel says of each of its partitions.
    fn uevents(&self) -> Vec<String> {
        let uevent = |name: &String| std::fs::read_to_string(self.class.join(name).join("uevent"));
        let mut parts = names(&self.class);
        parts.retain(|name| self.is_part(name));
        parts.iter().filter_map(|name| uevent(name).ok()).collect()
    }

    /// Open, the kernel gives its name to no other disk, also when it is pulled.
    pub(crate) fn hold(&self) -> Result<File, StorageError> {
        self.open(File::options().read(true))
    }
}

/// Whole disks with something in them.
fn whole_disks(place: &Place) -> Vec<String> {
    let class = place.sysfs.join("class/block");
    let is_disk = |name: &String| {
        let entry = class.join(name);
        let size = std::fs::read_to_string(entry.join("size")).unwrap_or_default();
        !entry.join("partition").exists() && !matches!(size.trim(), "" | "0")
    };
    names(&class).into_iter().filter(is_disk).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    names
}

/// The partition that the boot loader started from (systemd's Boot Loader Interface).
pub(crate) fn boot_partition(place: &Place) -> Result<Guid, StorageError> {
    let path = place.efivars.join("LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f");
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(refusal) if refusal.kind() == std::io::ErrorKind::NotFound => {
            return Err(StorageError::NoBootDisk);
        }
        Err(source) => return Err(StorageError::Path { attempt: "read", path, source }),
    };
    name_in(&bytes).ok_or(StorageError::BootDiskName { path })
}

/// Four bytes of attributes, then UTF-16 with a zero at its end.
pub(crate) fn name_in(variable: &[u8]) -> Option<Guid> {
    let units = variable.get(4..)?.as_chunks::<2>().0.iter().map(|unit| u16::from_le_bytes(*unit));
    let text: String =
        char::decode_utf16(units.take_while(|unit| *unit != 0)).collect::<Result<_, _>>().ok()?;
    Guid::parse(&text)
}

/// Marks a partition as made, in both copies of the table.
pub(crate) fn mark_made(
    disk: &Disk,
    table: &mut gpt::Table,
    guid: Guid,
) -> Result<(), StorageError> {
    let found = table.entries.iter_mut().flatten().find(|entry: &&mut Entry| entry.guid == guid);
    if let Some(entry) = found {
        entry.attributes |= gpt::MADE;
    }
    disk.write(&gpt::replace(table))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_loaders_variable_names_a_partition() {
        let mut bytes = vec![6, 0, 0, 0];
        for unit in "C12A7328-F81F-11D2-BA4B-00A0C93EC93B\0".encode_utf16() {
            bytes.extend(unit.to_le_bytes());
        }
        let name = name_in(&bytes).unwrap();
        assert_eq!(name.to_string(), "c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
        assert_eq!(name_in(&bytes[..20]), None);
        assert_eq!(name_in(&[]), None);
    }

    #[test]
    fn a_partition_is_named_as_the_kernel_names_it() {
        let part = |name| Disk::named(&Place::default(), name).partition(3);
        assert_eq!(part("sda"), Path::new("/dev/sda3"));
        assert_eq!(part("nvme0n1"), Path::new("/dev/nvme0n1p3"));
        let is_part = |disk, name| Disk::named(&Place::default(), disk).is_part(name);
        assert!(is_part("sda", "sda3") && is_part("loop1", "loop1p12"));
        assert!(!is_part("sda", "sdaa3") && !is_part("loop1", "loop10p1"));
    }
}
