// SPDX-License-Identifier: Apache-2.0
//! A first boot with every write to its stick kept, and the sticks that a power cut would have left.
//!
//! ```text
//! test stick ─► first boot ─► log of writes ─► cut ─► stick ─► second boot, on the same machine
//! ```

use anyhow::{Context, Result, ensure};
use kubermesh_qemu::{Cut, Folder, Recipe, Stick, WriteLog};

use crate::node::{Node, image, soon, test_stick};

/// A first boot that came to its pod, and was cut off then.
pub struct FirstBoot {
    log: WriteLog,
    /// Of each flush, the part of the stick to which the last write before it went.
    parts: Vec<Option<Part>>,
    /// Holds the log.
    _node: Node,
}

/// A part of the test stick of 4 GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Either copy of the partition table.
    Table,
    /// The partition from which the firmware boots: nobody writes there.
    Boot,
    /// Who the node is.
    State,
    /// What pods keep.
    Data,
}

impl FirstBoot {
    /// Boots a fresh stick to its pod and cuts the power.
    ///
    /// # Errors
    /// It does not come so far.
    pub fn record() -> Result<Self> {
        let node = Node { machine: recipe(test_stick()?.log_writes()).boot()? };
        node.wait_pod()?;
        both_are_mounted(&node)?;
        node.machine.power_cut()?;
        let log = node.machine.write_log()?;
        let parts = (0..log.flushes())
            .map(|flush| Ok(log.writes_before(flush)?.last().map(|(at, _)| Part::at(*at))))
            .collect::<Result<Vec<_>>>()?;
        ensure!(!parts.contains(&Some(Part::Boot)), "the boot partition was written to: {parts:?}");
        Ok(Self { log, parts, _node: node })
    }

    /// Of each flush, where the last write before it went.
    #[must_use]
    pub fn parts(&self) -> &[Option<Part>] {
        &self.parts
    }

    /// Whether a cut before this flush tears STATE's superblock: two sectors with one checksum.
    ///
    /// # Errors
    /// There is no such flush.
    pub fn tears_superblock(&self, flush: usize) -> Result<bool> {
        Ok(self.log.writes_before(flush)?.last() == Some(&(STATE_AT * MIB + 1024, 1024)))
    }

    /// Boots the stick as it is after this cut: with both file systems, and nothing wrong.
    ///
    /// # Errors
    /// It does not.
    pub fn boots_after(&self, cut: Cut) -> Result<()> {
        let (_folder, node) = self.boot(cut)?;
        node.wait_status("isolated").with_context(|| format!("{cut:?}"))?;
        node.machine.agent().wait(soon())?;
        self.is_well(&node, cut).with_context(|| format!("{cut:?}"))
    }

    /// The same, to its pod.
    ///
    /// # Errors
    /// It does not.
    pub fn runs_after(&self, cut: Cut) -> Result<()> {
        let (_folder, node) = self.boot(cut)?;
        node.wait_pod().with_context(|| format!("{cut:?}"))?;
        self.is_well(&node, cut).with_context(|| format!("{cut:?}"))
    }

    fn is_well(&self, node: &Node, cut: Cut) -> Result<()> {
        let is_torn = match cut {
            Cut::TornBeforeFlush { flush, .. } => self.tears_superblock(flush)?,
            Cut::AfterFlush(_) | Cut::AfterRequest(_) => false,
        };
        let restored = "STATE: the file system had errors and was mended: its superblock is restored from a backup: ";
        let mut faults = node.faults()?;
        faults.retain(|fault| !(is_torn && fault.starts_with(restored)));
        ensure!(faults.is_empty(), "{faults:?}");
        both_are_mounted(node)
    }

    /// The stick lies in the folder.
    fn boot(&self, cut: Cut) -> Result<(Folder, Node)> {
        let folder = Folder::new("cut")?;
        let stick = folder.file("stick.img");
        self.log.materialise(&image("kubermesh-usb.img")?, &stick, cut)?;
        Ok((folder, Node { machine: recipe(Stick::from_image(&stick)).boot()? }))
    }
}

impl Part {
    fn at(byte: u64) -> Self {
        match byte / MIB {
            0 | 4095 => Self::Table,
            1..STATE_AT => Self::Boot,
            STATE_AT..769 => Self::State,
            _ => Self::Data,
        }
    }
}

/// The same name each time: the same hardware, whose identity STATE keeps.
fn recipe(stick: Stick) -> Recipe {
    Recipe::new("cut").stick(stick)
}

/// containerd and kubelet need them, so they are there before a node is isolated.
fn both_are_mounted(node: &Node) -> Result<()> {
    let mounts = node.machine.agent().read_text("/proc/mounts")?;
    for wanted in ["/dev/sda2 /state ext4 rw,", "/dev/sda3 /var ext4 rw,"] {
        ensure!(mounts.contains(wanted), "{wanted:?} is not in {mounts}");
    }
    Ok(())
}

/// Behind the boot partition, in MiB.
const STATE_AT: u64 = 513;
const MIB: u64 = 1 << 20;
