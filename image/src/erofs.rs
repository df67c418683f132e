// SPDX-License-Identifier: Apache-2.0
//! A tree as an EROFS file system: read-only, compressed, read in place from memory.

use std::fs;
use std::io::BufWriter;

use anyhow::{Context, Result};

use crate::base::Base;
use crate::store::Store;
use crate::tar_file::{self, Epoch};
use crate::tool;
use crate::tree::{Content, Tree};

/// Packs the tree.
///
/// # Errors
/// A file cannot be read, or mkfs.erofs fails.
pub fn pack(base: &Base, tree: &Tree, epoch: Epoch, level: u8, store: &Store) -> Result<Vec<u8>> {
    let scratch = store.scratch("packing")?;
    let (tar, packed) = (scratch.join("root.tar"), scratch.join("root.erofs"));
    let out = fs::File::create(&tar).with_context(|| format!("create {}", tar.display()))?;
    tar_file::write(tree, epoch, BufWriter::new(out))?;
    let mut mkfs = base.tool("mkfs.erofs");
    mkfs.args(["--quiet", "--tar=f", "-C", CLUSTER_BYTES, "-U", UUID])
        .arg(format!("-T{}", epoch.0))
        .arg(format!("-zzstd,level={level}"))
        .arg(&packed)
        .arg(&tar);
    tool::run(&mut mkfs, "pack the root")?;
    Content::Disk(packed).read()
}

/// Larger packs better, smaller costs less memory and time for each page that a program touches.
const CLUSTER_BYTES: &str = "65536";

/// One for all images: two of them never lie on one machine as disks, and a random one would differ each time.
const UUID: &str = "6b756265-726d-6573-6800-000000000001";
