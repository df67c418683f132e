// SPDX-License-Identifier: Apache-2.0
//! A tree as a tar file: what mkfs.erofs and a container's image are made of.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use tar::{Builder, EntryType, Header};

use crate::tree::{Content, Node, Tree};

/// The one time of all files of an image, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch(pub u64);

/// Writes all nodes in the tree's order: owner root, time `epoch`.
///
/// # Errors
/// A file cannot be read, or the tar not be written.
pub fn write(tree: &Tree, epoch: Epoch, out: impl Write) -> Result<()> {
    let mut tar = Builder::new(out);
    for (path, node) in tree.iter() {
        append(&mut tar, path, node, epoch).with_context(|| format!("pack /{}", path.display()))?;
    }
    tar.into_inner().and_then(|mut out| out.flush()).context("write a tar file")
}

fn append(tar: &mut Builder<impl Write>, path: &Path, node: &Node, epoch: Epoch) -> Result<()> {
    let mut header = Header::new_gnu();
    header.set_mtime(epoch.0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    match node {
        Node::Folder(mode) => {
            header.set_entry_type(EntryType::Directory);
            header.set_mode(*mode);
            tar.append_data(&mut header, path, std::io::empty())?;
        }
        Node::Link(to) => {
            header.set_entry_type(EntryType::Symlink);
            header.set_mode(0o777);
            tar.append_link(&mut header, path, to)?;
        }
        Node::File(content, mode) => {
            header.set_entry_type(EntryType::Regular);
            header.set_mode(*mode);
            header.set_size(content.size()?);
            match content {
                Content::Bytes(bytes) => tar.append_data(&mut header, path, bytes.as_slice())?,
                Content::Disk(from) => tar.append_data(&mut header, path, File::open(from)?)?,
            }
        }
    }
    Ok(())
}
