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

use anyhow::{Context, Result, anyhow, ensure};
use sha2::{Digest, Sha256};

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
    pub fn obtain(maker: &Path, lock: Option<&Path>, cache: &Path) -> Result<Self> {
        let program = maker.join("base");
        ensure!(
            program.is_file(),
            "{} is missing: --base names a folder with a program `base` (image/base.md)",
            program.display()
        );
        let mut resolve = Command::new(&program);
        resolve.arg("resolve").args(lock).env("KUBERMESH_CACHE", cache);
        let packages = tool::run_shown(&mut resolve, "asking the base for its packages")?;
        let key = key(maker, &packages)?;
        let folder = cache.join(format!("base-{key}"));
        if !folder.is_dir() {
            build(&program, &packages, cache, &folder)?;
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

/// Where downloads and finished parts are kept: never in the checkout.
///
/// # Errors
/// The environment names no home.
pub fn cache_folder() -> Result<PathBuf> {
    let named = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = named("KUBERMESH_CACHE")
        .or_else(|| named("XDG_CACHE_HOME").map(|cache| cache.join("kubermesh")))
        .or_else(|| named("HOME").map(|home| home.join(".cache/kubermesh")))
        .ok_or_else(|| anyhow!("there is no HOME: name a writable folder in KUBERMESH_CACHE"))?;
    fs::create_dir_all(&folder).with_context(|| {
        format!("{} cannot be made: name a writable folder in KUBERMESH_CACHE", folder.display())
    })?;
    folder.canonicalize().with_context(|| format!("open {}", folder.display()))
}

fn build(program: &Path, packages: &[u8], cache: &Path, folder: &Path) -> Result<()> {
    let fresh = tempfile::Builder::new()
        .prefix("fresh-")
        .tempdir_in(cache)
        .with_context(|| format!("{} cannot be written", cache.display()))?;
    let list = fresh.path().join("asked.tsv");
    fs::write(&list, packages).with_context(|| format!("write {}", list.display()))?;
    let out = fresh.path().join("base");
    let mut build = Command::new(program);
    build.arg("build").arg(&list).arg(&out).env("KUBERMESH_CACHE", cache);
    tool::run_shown(&mut build, "building the base")?;
    // Renamed last: a build cut short leaves no entry.
    if let Err(refusal) = fs::rename(&out, folder) {
        // Another build of the same key may have been quicker; its bytes are the same.
        ensure!(folder.is_dir(), "{} cannot be made: {refusal}", folder.display());
    }
    Ok(())
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
