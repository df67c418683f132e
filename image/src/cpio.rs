// SPDX-License-Identifier: Apache-2.0
//! A tree as a cpio archive of the "newc" form, the only one that the kernel unpacks
//! (Documentation/driver-api/early-userspace/buffer-format.rst).

use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use anyhow::{Context, Result};

use crate::tar_file::Epoch;
use crate::tree::{Node, Tree};

/// The archive of a tree, ended by its trailer and filled up to four bytes, so that another may follow.
///
/// # Errors
/// A file cannot be read, or is 4 GiB or more.
pub fn archive(tree: &Tree, epoch: Epoch) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    for (number, (path, node)) in (1..).zip(tree.iter()) {
        let (mode, data) = match node {
            Node::Folder(mode) => (S_IFDIR | mode, Vec::new()),
            Node::Link(to) => (S_IFLNK | 0o777, to.as_os_str().as_bytes().to_vec()),
            Node::File(content, mode) => (S_IFREG | mode, content.read()?),
        };
        entry(&mut out, number, mode, epoch, path.as_os_str().as_bytes(), &data)
            .with_context(|| format!("pack /{}", path.display()))?;
    }
    entry(&mut out, 0, 0, Epoch(0), b"TRAILER!!!", &[])?;
    Ok(out)
}

fn entry(
    out: &mut Vec<u8>,
    number: u32,
    mode: u32,
    epoch: Epoch,
    name: &[u8],
    data: &[u8],
) -> Result<()> {
    let size = u32::try_from(data.len()).context("a file in a cpio archive is below 4 GiB")?;
    let time = u32::try_from(epoch.0).context("a time in a cpio archive is before 2106")?;
    let name_size = name.len() + 1;
    write!(
        out,
        "070701{number:08x}{mode:08x}{uid:08x}{gid:08x}{links:08x}",
        uid = 0,
        gid = 0,
        links = 1
    )?;
    write!(out, "{time:08x}{size:08x}{device:016x}{special:016x}", device = 0, special = 0)?;
    write!(out, "{name_size:08x}{checksum:08x}", checksum = 0)?;
    out.extend_from_slice(name);
    out.push(0);
    fill_to_four(out);
    out.extend_from_slice(data);
    fill_to_four(out);
    Ok(())
}

fn fill_to_four(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

// inode(7)
const S_IFDIR: u32 = 0o040_000;
const S_IFREG: u32 = 0o100_000;
const S_IFLNK: u32 = 0o120_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Content;

    #[test]
    fn an_archive_is_byte_for_byte_what_the_kernel_documents() {
        let mut tree = Tree::default();
        tree.add_file("init", Content::Bytes(b"hello".to_vec()), true).unwrap();

        let archive = archive(&tree, Epoch(0x5f5e_0ff0)).unwrap();

        // magic inode mode uid gid nlink mtime size devmajor devminor rdevmajor rdevminor namesize check
        let file = "070701000000010000\
            81ed0000000000000000000000015f5e0ff000000005\
            000000000000000000000000000000000000000500000000init\0\0hello\0\0\0";
        let trailer = "07070100000000000000000000000000000000000000010000000000000000\
            00000000000000000000000000000000\
            0000000b00000000TRAILER!!!\0\0\0\0";
        assert_eq!(String::from_utf8(archive).unwrap(), format!("{file}{trailer}"));
    }

    #[test]
    fn gnu_cpio_reads_it() {
        let mut tree = Tree::default();
        tree.add_file("modules/order", Content::Bytes(b"a.ko\n".to_vec()), false).unwrap();
        tree.add_link("sbin", "usr/sbin").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("archive");
        std::fs::write(&path, archive(&tree, Epoch(0)).unwrap()).unwrap();

        let listed = std::process::Command::new("cpio")
            .args(["--list", "--quiet", "-F"])
            .arg(&path)
            .output()
            .expect("cpio is installed: image/setup");

        assert_eq!(String::from_utf8_lossy(&listed.stdout), "modules\nmodules/order\nsbin\n");
    }
}
