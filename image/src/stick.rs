// SPDX-License-Identifier: Apache-2.0
//! The USB stick: a GPT with one FAT32 partition that any laptop opens, and free space.
//!
//! ```text
//! ESP  \EFI\BOOT\BOOTX64.EFI     systemd-boot
//!      \EFI\Linux\kubermesh.efi  the UKI
//!      \loader\loader.conf
//!      \kubermesh\node.toml
//! free                           the node makes STATE and DATA here on its first boot
//! ```

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::base::hex;
use crate::node_toml::Seed;
use crate::store::Store;
use crate::tar_file::Epoch;
use crate::tool;

/// What goes on a stick.
#[derive(Clone, Copy, Debug)]
pub struct Stick<'a> {
    /// The UKI.
    pub uki: &'a Path,
    /// systemd-boot.
    pub boot_loader: &'a Path,
    /// The text of node.toml.
    pub node_toml: &'a str,
    /// What makes it differ from other sticks.
    pub seed: &'a Seed,
    /// The time of its files.
    pub epoch: Epoch,
}

impl Stick<'_> {
    /// Writes the image file; one that is there is replaced when the new one is whole.
    ///
    /// # Errors
    /// A tool is missing or fails, the disk is full, or the size is too small.
    pub fn write(&self, out: &Path, size_bytes: u64, store: &Store) -> Result<()> {
        ensure!(
            size_bytes >= ESP_START_BYTES + ESP_BYTES + ROOM_AFTER_BYTES,
            "--size is too small: at least {} MiB hold the boot partition and its table",
            (ESP_START_BYTES + ESP_BYTES + ROOM_AFTER_BYTES) / MIB
        );
        let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
        fs::create_dir_all(folder.unwrap_or(Path::new(".")))
            .with_context(|| format!("write {}", out.display()))?;
        // Always of one name: what a build cut short leaves is replaced by the next.
        let image = out.with_extension("part");
        File::create(&image)
            .and_then(|file| file.set_len(size_bytes))
            .with_context(|| format!("write {}", out.display()))?;
        self.partition(&image)?;
        self.format(&image)?;
        self.fill(&image, &store.scratch("stick")?)?;
        fs::rename(&image, out).with_context(|| format!("write {}", out.display()))
    }

    fn partition(&self, image: &Path) -> Result<()> {
        let mut sgdisk = Command::new("sgdisk");
        sgdisk
            .arg(format!("--disk-guid={}", guid(&self.seed.bytes("disk"))))
            .arg(format!("--new=1:{}s:+{}M", ESP_START_BYTES / SECTOR_BYTES, ESP_BYTES / MIB))
            .arg("--typecode=1:EF00")
            .arg("--change-name=1:kubermesh-esp")
            .arg(format!("--partition-guid=1:{}", guid(&self.seed.bytes("boot partition"))))
            .arg(image);
        tool::run(&mut sgdisk, "write the stick's partition table").map(drop)
    }

    fn format(&self, image: &Path) -> Result<()> {
        let serial = hex(&self.seed.bytes("file system")[..4]);
        let mut mformat = self.mtool("mformat", image);
        mformat
            .args(["-F", "-v", "KUBERMESH", "-N", &serial, "-H"])
            .arg((ESP_START_BYTES / SECTOR_BYTES).to_string())
            .arg("-T")
            .arg((ESP_BYTES / SECTOR_BYTES).to_string())
            .args(["-h", "255", "-s", "63", "::"]);
        tool::run(&mut mformat, "format the boot partition")?;
        settle(image).with_context(|| format!("settle the boot partition of {}", image.display()))
    }

    fn fill(&self, image: &Path, scratch: &Path) -> Result<()> {
        let texts = [("loader.conf", LOADER_CONF), ("node.toml", self.node_toml)];
        for (name, text) in texts {
            fs::write(scratch.join(name), text).context("write a temporary file")?;
        }
        let mut mmd = self.mtool("mmd", image);
        mmd.args(["::/EFI", "::/EFI/BOOT", "::/EFI/Linux", "::/loader", "::/kubermesh"]);
        tool::run(&mut mmd, "make the boot partition's folders")?;
        let (loader_conf, node_toml) = (scratch.join("loader.conf"), scratch.join("node.toml"));
        for (from, to) in [
            (self.boot_loader, "::/EFI/BOOT/BOOTX64.EFI"),
            (self.uki, "::/EFI/Linux/kubermesh.efi"),
            (&loader_conf, "::/loader/loader.conf"),
            (&node_toml, "::/kubermesh/node.toml"),
        ] {
            let mut mcopy = self.mtool("mcopy", image);
            mcopy.arg(from).arg(to);
            tool::run(&mut mcopy, &format!("copy {} to the stick", from.display()))?;
        }
        Ok(())
    }

    /// An mtool on the image's partition, whatever the person's ~/.mtoolsrc says.
    fn mtool(&self, name: &str, image: &Path) -> Command {
        let mut mtool = Command::new(name);
        mtool
            .env("MTOOLSRC", "/dev/null")
            .env("MTOOLS_SKIP_CHECK", "1")
            .env("SOURCE_DATE_EPOCH", self.epoch.0.to_string())
            .env("TZ", "UTC")
            .arg("-i")
            .arg(format!("{}@@{ESP_START_BYTES}", image.display()));
        mtool
    }
}

/// Writes what versions of mformat differ in: their own name, the drive's number and the reserved
/// entries of the table (fatgen103, pages 9 to 19).
fn settle(image: &Path) -> std::io::Result<()> {
    let image = File::options().read(true).write(true).open(image)?;
    let mut boot = [0; 40];
    image.read_exact_at(&mut boot, ESP_START_BYTES)?;
    let reserved = u64::from(u16::from_le_bytes([boot[14], boot[15]]));
    let table_sectors = u64::from(u32::from_le_bytes([boot[36], boot[37], boot[38], boot[39]]));
    for copy in [0, BACKUP_BOOT_SECTOR] {
        let at = ESP_START_BYTES + copy * SECTOR_BYTES;
        image.write_all_at(b"MSWIN4.1", at + 3)?;
        image.write_all_at(&[0x80], at + 64)?;
    }
    for table in 0..u64::from(boot[16]) {
        let at = ESP_START_BYTES + (reserved + table * table_sectors) * SECTOR_BYTES;
        image.write_all_at(&[0xf8, 0xff, 0xff, 0x0f, 0xff, 0xff, 0xff, 0x0f], at)?;
    }
    Ok(())
}

/// RFC 9562, version 8: the bits are ours.
fn guid(bytes: &[u8; 32]) -> String {
    let mut bytes = *bytes;
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let text = hex(&bytes[..16]);
    format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
}

/// No `default`: one that names an entry would switch boot counting off.
const LOADER_CONF: &str = "timeout 0\neditor no\n";
const MIB: u64 = 1 << 20;
const SECTOR_BYTES: u64 = 512;
const BACKUP_BOOT_SECTOR: u64 = 6;
const ESP_START_BYTES: u64 = MIB;
/// Two UKIs: the one that runs and the one that is tried.
const ESP_BYTES: u64 = 512 * MIB;
/// The second copy of the table, at the end.
const ROOM_AFTER_BYTES: u64 = MIB;
