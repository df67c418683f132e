// SPDX-License-Identifier: Apache-2.0
//! What the kernel unpacks and PID 1 finds before there is a root.
//!
//! ```text
//! /init             PID 1
//! /modules/order    what to load, a file name a line, first to last
//! /modules/*.ko     unpacked: finit_module takes them as they are
//! /root.erofs       the root, to be loop-mounted read-only on /sysroot
//! /dev /proc /run /sys /sysroot   empty
//! ```
//!
//! Two archives one after the other: the first small and compressed, the second the root alone,
//! which is compressed already and is copied as it is.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::base::Base;
use crate::cpio;
use crate::tar_file::Epoch;
use crate::tool;
use crate::tree::{Content, Tree};

/// The initramfs and what takes its room.
#[derive(Clone, Debug)]
pub struct Initramfs {
    /// As the kernel gets it.
    pub bytes: Vec<u8>,
    /// How much of it is PID 1 and its modules.
    pub early_bytes: usize,
    /// How much of it is the root.
    pub root_bytes: usize,
}

/// Joins PID 1, its modules and the packed root.
///
/// # Errors
/// A file cannot be read or unpacked.
pub fn join(
    base: &Base,
    init: &Path,
    early: &[PathBuf],
    root: Vec<u8>,
    epoch: Epoch,
) -> Result<Initramfs> {
    let mut first = Tree::default();
    for folder in ["dev", "proc", "run", "sys", "sysroot"] {
        first.add_folder(folder)?;
    }
    first.add_file("init", Content::Disk(init.to_owned()), true)?;
    let mut order = String::new();
    for path in early {
        let (name, module) = unpacked(base, path)?;
        order.push_str(&format!("{name}\n"));
        first.add_file(Path::new("modules").join(name), Content::Bytes(module), false)?;
    }
    first.add_file("modules/order", Content::Bytes(order.into_bytes()), false)?;

    let mut bytes = zstd::bulk::compress(&cpio::archive(&first, epoch)?, ZSTD_LEVEL)
        .context("compress the initramfs")?;
    // The kernel looks for the next archive at a multiple of four (init/initramfs.c).
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    let early_bytes = bytes.len();
    let mut second = Tree::default();
    second.add_file("root.erofs", Content::Bytes(root), false)?;
    bytes.extend(cpio::archive(&second, epoch)?);
    let root_bytes = bytes.len() - early_bytes;
    Ok(Initramfs { bytes, early_bytes, root_bytes })
}

fn unpacked(base: &Base, path: &Path) -> Result<(String, Vec<u8>)> {
    let from = base.path("kernel/modules").join(path);
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match name.strip_suffix(".xz") {
        None => Ok((name, Content::Disk(from).read()?)),
        Some(short) => {
            let mut xz = base.tool("xz");
            xz.args(["--decompress", "--stdout"]).arg(&from);
            Ok((short.to_owned(), tool::run(&mut xz, "unpack a module")?))
        }
    }
}

/// The kernel refuses a window above 8 MiB (lib/decompress_unzstd.c), which only --ultra levels use.
const ZSTD_LEVEL: i32 = 19;
