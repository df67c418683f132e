// SPDX-License-Identifier: Apache-2.0
//! ext4 on a partition of ours: made once, checked before each mount.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::mount::MountAttrFlags;

use crate::child::{Ended, Run, after_colon};
use crate::error::StorageError;
use crate::mount::Mount;
use crate::room::Room;
use crate::say::say;

/// A partition of ours.
#[derive(Clone, Debug)]
pub(crate) struct FileSystem {
    pub(crate) room: Room,
    pub(crate) device: PathBuf,
    pub(crate) counters: PathBuf,
}

/// What e2fsck found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Checked {
    Clean,
    /// Errors, mended; its last line.
    Mended(String),
}

impl FileSystem {
    /// Makes it. What was there is lost: call it only for a partition that was never marked as made.
    pub(crate) fn make(&self) -> Result<(), StorageError> {
        let device = self.device.display().to_string();
        let journal = match self.room {
            Room::State => "size=8",
            // The default, up to 1 GiB, takes minutes on a slow stick.
            Room::Data => "size=32",
        };
        let doing = format!("making the {} partition", self.room.word());
        // Inode tables are zeroed later, by the kernel; discard hangs on some sticks. hashed 64-bit
        // checksums find what a torn write left.
        let arguments = [
            "-F",
            "-q",
            "-L",
            self.room.label(),
            "-m",
            "1",
            "-J",
            journal,
            "-E",
            "lazy_itable_init=1,nodiscard",
            "-O",
            "metadata_csum,64bit",
            &device,
        ];
        self.run(MKFS, &arguments, &doing).to_success()
    }

    /// Replays the journal and mends what can be mended without a person (e2fsck(8), -p).
    ///
    /// A superblock is two sectors with one checksum: a power cut may tear it, and with -p e2fsck looks at no backup
    /// by itself.
    pub(crate) fn check(&self) -> Result<Checked, StorageError> {
        let device = self.device.display().to_string();
        let began = Instant::now();
        let mut ended = self.e2fsck(&["-p", &device], began)?;
        let has_superblock = ended.status.code() != Some(8) || !ended.said.contains("uperblock");
        let mut from_backup = "";
        for (block, block_bytes) in BACKUPS.iter().filter(|_| !has_superblock) {
            say(&format!("{device} has no whole superblock: trying its backup in block {block}"));
            let words = ["-p", "-b", block, "-B", block_bytes, &device];
            let again = self.e2fsck(&words, began)?;
            if matches!(again.status.code(), Some(0..=3)) {
                from_backup = "its superblock is restored from a backup: ";
                ended = again;
                break;
            }
        }
        let line = ended.line_about(&[self.room.label(), &device]);
        match ended.status.code() {
            Some(0) if from_backup.is_empty() => Ok(Checked::Clean),
            // 2 asks for a reboot where it was mounted; ours is not.
            Some(0..=3) => Ok(Checked::Mended(format!("{from_backup}{line}"))),
            // 4: errors are left. 8: it did not come so far, for want of a superblock or of a disk.
            Some(code) if code & 12 != 0 => {
                let said = after_colon(line);
                Err(StorageError::Damaged { device, said })
            }
            Some(_) | None => Err(ended.failure(E2FSCK)),
        }
    }

    /// One run of it; `began`: when the first one did, for all together.
    fn e2fsck(&self, arguments: &[&str], began: Instant) -> Result<Ended, StorageError> {
        let doing = format!("checking the {} partition", self.room.word());
        let run = self.run(E2FSCK, arguments, &doing);
        let longest_seconds = LONGEST_SECONDS.saturating_sub(began.elapsed().as_secs());
        Run { longest_seconds, ..run }.to_end()
    }

    /// Mounts it for use.
    pub(crate) fn attach(&self, target: &Path) -> Result<(), StorageError> {
        // data=ordered: after a power cut a file holds what was written to it or what it held
        // before, never another's blocks. An error ends the writing, not the node.
        let options = [("data", "ordered"), ("errors", "remount-ro"), ("commit", "5")];
        let attributes = MountAttrFlags::MOUNT_ATTR_NOATIME;
        let private = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let attributes = match self.room {
            Room::State => attributes | private,
            // Containers live here: their programs must run.
            Room::Data => attributes,
        };
        let source = Some(self.device.as_path());
        Mount { kind: "ext4", source, options: &options, attributes }.attach(target)
    }

    /// Mounts it nowhere, to read it as it lies: on a read-only stick its journal cannot be replayed.
    pub(crate) fn for_reading(&self) -> Result<OwnedFd, StorageError> {
        let source = Some(self.device.as_path());
        let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY;
        Mount { kind: "ext4", source, options: &[("ro", ""), ("noload", "")], attributes }
            .detached()
    }

    fn run<'a>(
        &'a self,
        program: &'static str,
        arguments: &'a [&'a str],
        doing: &'a str,
    ) -> Run<'a> {
        let counters = Some(self.counters.as_path());
        let (stalls_after_seconds, longest_seconds) = (STALL_SECONDS, LONGEST_SECONDS);
        Run { program, arguments, doing, counters, stalls_after_seconds, longest_seconds }
    }
}

const MKFS: &str = "/usr/sbin/mkfs.ext4";
const E2FSCK: &str = "/usr/sbin/e2fsck";
/// The first backup of a superblock and the size of a block, as mkfs chooses for less than 512 MiB and for more
/// (mke2fs.conf(5), small and default; sparse_super: the second group begins there).
const BACKUPS: [(&str, &str); 2] = [("8193", "1024"), ("32768", "4096")];
/// The SCSI layer gives up a command after 30 s and resets the stick; so it may have tried twice.
const STALL_SECONDS: u64 = 60;
/// PID 1 gives the whole task 10 minutes (storage.toml). Without a report there is no node; a check that is
/// begun again at each boot and never ends would be that for ever.
const LONGEST_SECONDS: u64 = 480;
