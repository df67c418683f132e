// SPDX-License-Identifier: Apache-2.0
//! ext4 on a partition of ours: made once, checked before each mount.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::mount::MountAttrFlags;

use crate::child::{Run, after_colon};
use crate::error::StorageError;
use crate::mount::Mount;
use crate::room::Room;

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
    pub(crate) fn check(&self) -> Result<Checked, StorageError> {
        let device = self.device.display().to_string();
        let doing = format!("checking the {} partition", self.room.word());
        let arguments = ["-p", &device];
        let run = self.run(E2FSCK, &arguments, &doing);
        let ended = run.to_end()?;
        let line = ended.line_about(&[self.room.label(), &device]);
        match ended.status.code() {
            Some(0) => Ok(Checked::Clean),
            // 2 asks for a reboot where it was mounted; ours is not.
            Some(1..=3) => Ok(Checked::Mended(line.to_owned())),
            // 4: errors are left. 8: it did not come so far, for want of a superblock or of a disk.
            Some(code) if code & 12 != 0 => {
                let said = after_colon(line);
                Err(StorageError::Damaged { device, said })
            }
            Some(_) | None => Err(run.failure(&ended)),
        }
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
/// The SCSI layer gives up a command after 30 s and resets the stick; so it may have tried twice.
const STALL_SECONDS: u64 = 60;
/// PID 1 gives the whole task 10 minutes (storage.toml). Without a report there is no node; a check that is
/// begun again at each boot and never ends would be that for ever.
const LONGEST_SECONDS: u64 = 480;
