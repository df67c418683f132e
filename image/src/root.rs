// SPDX-License-Identifier: Apache-2.0
//! The root of a node: what lies where.
//!
//! ```text
//! base/root ─► modules, firmware ─► Go programs ─► our programs, pod images ─► overlays, as they lie
//! ```
//!
//! Later ones replace files of earlier ones. Nothing is written at run time: PID 1 mounts something
//! writable on the mount points below.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::base::Base;
use crate::module::{self, Selection};
use crate::pod_image::PodImage;
use crate::store::Store;
use crate::tar_file::Epoch;
use crate::tree::{Content, Tree};

/// What a root is made of, beside the base.
#[derive(Clone, Debug)]
pub struct Ingredients {
    /// Where the static `init`, `kubermesh` and `beacon` lie.
    pub programs: PathBuf,
    /// Root trees of the Go programs.
    pub go: Vec<PathBuf>,
    /// Root trees of ours; a later one replaces files of an earlier one.
    pub overlays: Vec<PathBuf>,
}

/// A program of ours in the folder where the build left it.
///
/// # Errors
/// It is not there.
pub fn own_program(folder: &Path, name: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    ensure!(
        path.is_file(),
        "{} is missing: `make image` builds it (cargo build --release --target x86_64-unknown-linux-musl)",
        path.display()
    );
    Ok(path)
}

/// Puts the whole root together.
///
/// # Errors
/// Something is missing or lies where it cannot.
pub fn assemble(
    base: &Base,
    selection: &Selection,
    ingredients: &Ingredients,
    epoch: Epoch,
    store: &Store,
) -> Result<Tree> {
    let mut root = Tree::default();
    add_base(&mut root, base)?;
    for (path, node) in module::installed(base, selection, store)?.iter() {
        root.add_node(path, node)?;
    }
    for go in &ingredients.go {
        root.add_disk(go, Path::new(""))?;
    }
    add_own_programs(&mut root, ingredients, epoch)?;
    let release = format!(
        "NAME=Kubermesh\nID=kubermesh\nVERSION_ID={version}\nPRETTY_NAME=\"Kubermesh {version}\"\n",
        version = env!("CARGO_PKG_VERSION")
    );
    root.add_file("usr/lib/os-release", Content::Bytes(release.into_bytes()), false)?;
    for overlay in &ingredients.overlays {
        root.add_disk(overlay, Path::new(""))
            .with_context(|| format!("overlay {}", overlay.display()))?;
    }
    for (path, mode) in MOUNT_POINTS {
        root.set_folder(path, mode)?;
    }
    Ok(root)
}

fn add_base(root: &mut Tree, base: &Base) -> Result<()> {
    for entry in fs::read_dir(base.path("root")).context("read the base's root")? {
        let name = entry.context("read the base's root")?.file_name();
        let from = base.path("root").join(&name);
        if from.is_symlink() {
            root.add_link(&name, fs::read_link(&from)?)?;
        } else if name == "etc" {
            root.add_disk(&from, Path::new("usr/lib/kubermesh/etc"))?;
        } else {
            root.add_disk(&from, Path::new(&name))?;
        }
    }
    root.add_disk(&base.path("licences"), Path::new("usr/share/licences"))?;
    let packages = Content::Disk(base.path("packages.tsv"));
    root.add_file("usr/lib/kubermesh/packages.tsv", packages, false)
}

fn add_own_programs(root: &mut Tree, ingredients: &Ingredients, epoch: Epoch) -> Result<()> {
    let [init, kubermesh, beacon] =
        OWN_PROGRAMS.map(|name| own_program(&ingredients.programs, name).map(Content::Disk));
    root.add_file("usr/lib/kubermesh/init", init?, true)?;
    // PID 1 sets no clock earlier than this.
    let seconds = Content::Bytes(format!("{}\n", epoch.0).into_bytes());
    root.add_file("usr/lib/kubermesh/epoch", seconds, false)?;
    root.add_link("usr/sbin/init", "../lib/kubermesh/init")?;
    root.add_file("usr/bin/kubermesh", kubermesh?, true)?;

    let mut files = Tree::default();
    files.add_file("beacon", beacon?, true)?;
    for (file, image) in POD_IMAGES {
        let layout = Content::Bytes(image.layout(&files, epoch)?);
        root.add_file(format!("usr/lib/kubermesh/images/{file}"), layout, false)?;
    }
    Ok(())
}

/// PID 1, the workers and the command line, and what runs in the static pod.
pub const OWN_PROGRAMS: [&str; 3] = ["init", "kubermesh", "beacon"];

/// Named in `overlay/`: by containerd's configuration and the static pod.
const POD_IMAGES: [(&str, PodImage<'_>); 2] = [
    ("beacon.tar", PodImage { name: "localhost/kubermesh/beacon:1", entrypoint: &["/beacon"] }),
    (
        "pause.tar",
        PodImage { name: "localhost/kubermesh/pause:1", entrypoint: &["/beacon", "pause"] },
    ),
];

/// Empty folders of the read-only root on which something is mounted, or which programs expect.
const MOUNT_POINTS: [(&str, u32); 11] = [
    ("boot", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("opt/cni/bin", 0o755),
    ("proc", 0o755),
    ("root", 0o700),
    ("run", 0o755),
    ("state", 0o755),
    ("sys", 0o755),
    ("tmp", 0o1777),
    ("var", 0o755),
];
