// SPDX-License-Identifier: Apache-2.0
//! The base: a root tree, a kernel and the tools of the build, from `base.md`'s two calls.
//!
//! ```text
//! base resolve ─► packages.tsv ─┐
//! files of the base's folder ───┴─► key ─► cache/base-<key>/ (built once by `base build`)
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use crate::store::Store;
use crate::tool;
use crate::tree::{Content, Node, Tree};

/// A built base.
#[derive(Clone, Debug)]
pub struct Base {
    folder: PathBuf,
    release: String,
}

impl Base {
    /// Takes the base from the cache, or builds it there.
    ///
    /// # Errors
    /// What the base's program refuses, or a folder that is not as `base.md` says.
    pub fn obtain(maker: &Path, lock: Option<&Path>, store: &Store) -> Result<Self> {
        let program = maker.join("base");
        ensure!(
            program.is_file(),
            "{} is missing: --base names a folder with a program `base` (image/base.md)",
            program.display()
        );
        let mut resolve = Command::new(&program);
        resolve.arg("resolve").args(lock).env("KUBERMESH_CACHE", store.folder());
        let packages = tool::run_shown(&mut resolve, "ask the base for its packages")?;
        let key = key(maker, &packages)?;
        let folder = store.folder().join(format!("base-{key}"));
        if !folder.is_dir() {
            build(&program, &packages, store, &folder)?;
        }
        Self::open(&folder)
    }

    /// A base that lies ready in a folder.
    ///
    /// # Errors
    /// The folder is not as `base.md` says.
    pub fn open(folder: &Path) -> Result<Self> {
        let release = fs::read_to_string(folder.join("kernel/release"))
            .with_context(|| format!("{} is not a base (image/base.md)", folder.display()))?;
        for part in
            ["root", "kernel/vmlinuz", "kernel/modules/modules.dep", "efi/stub.efi", "efi/boot.efi"]
        {
            let path = folder.join(part);
            ensure!(
                path.exists(),
                "{} is missing: image/base.md says what a base holds",
                path.display()
            );
        }
        Ok(Self { folder: folder.to_owned(), release: release.trim().to_owned() })
    }

    /// A file of the base.
    #[must_use]
    pub fn path(&self, part: &str) -> PathBuf {
        self.folder.join(part)
    }

    /// What `uname -r` will say.
    #[must_use]
    pub fn release(&self) -> &str {
        &self.release
    }

    /// A program of the build.
    #[must_use]
    pub fn tool(&self, name: &str) -> Command {
        Command::new(self.folder.join("tools").join(name))
    }
}

fn build(program: &Path, packages: &[u8], store: &Store, folder: &Path) -> Result<()> {
    let fresh = store.scratch("base")?;
    let list = fresh.join("asked.tsv");
    fs::write(&list, packages).with_context(|| format!("write {}", list.display()))?;
    let out = fresh.join("base");
    let mut build = Command::new(program);
    build.arg("build").arg(&list).arg(&out).env("KUBERMESH_CACHE", store.folder());
    tool::run_told(&mut build, "build the base")?;
    // Renamed last: a build cut short leaves no entry.
    fs::rename(&out, folder).with_context(|| format!("make {}", folder.display()))
}

fn key(maker: &Path, packages: &[u8]) -> Result<String> {
    let mut files = Tree::default();
    files.add_disk(maker, Path::new(""))?;
    let mut hash = Sha256::new();
    hash.update(packages);
    for (path, node) in files.iter() {
        // The lock says which packages; those are in the key already.
        if path == Path::new(LOCK) {
            continue;
        }
        hash.update(path.as_os_str().as_encoded_bytes());
        if let Node::File(content @ Content::Disk(_), _) = node {
            let bytes = content.read()?;
            hash.update(bytes.len().to_le_bytes());
            hash.update(bytes);
        }
    }
    Ok(hex(&hash.finalize())[..32].to_owned())
}

/// Bytes as people compare them.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The recorded packages of a base, in its folder.
pub const LOCK: &str = "packages.lock";
