// SPDX-License-Identifier: Apache-2.0
//! `kubermesh-image uki`: the whole system in one file.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use kubermesh_image::base::Base;
use kubermesh_image::initramfs::{self, Initramfs};
use kubermesh_image::progress::Progress;
use kubermesh_image::room::Room;
use kubermesh_image::root;
use kubermesh_image::store::Store;
use kubermesh_image::tar_file::Epoch;
use kubermesh_image::tree::Tree;
use kubermesh_image::uki::{self, Section};
use kubermesh_image::{cmdline, erofs};
use serde_json::{Value, json};

use crate::command::Uki;
use crate::output::{read, read_text, write};
use crate::source::{self, Checked};

/// Builds it, and puts beside it what is in it.
pub(crate) fn build(wish: &Uki, progress: &mut Progress) -> Result<Value> {
    let store = Store::open()?;
    let epoch = Epoch(wish.source.epoch);
    let words = cmdline::words(&read_text(&wish.source.cmdline)?)?;
    let Checked { base, selection, ingredients, root } =
        source::prepare(&wish.source, &store, progress)?;
    let packed = progress
        .step("packing the root", || erofs::pack(&base, &root, epoch, wish.level, &store))?;
    let (image, room) = progress.step("joining the UKI", || {
        let init = root::own_program(&ingredients.programs, "init")?;
        let initramfs = initramfs::join(&base, &init, &selection.early, packed, epoch)?;
        join(&base, &root, &words, &initramfs)
    })?;
    eprint!("{room}");
    room.check()?;
    write(&wish.out, &image)?;
    write_beside(&wish.out, &base, &room)?;
    eprintln!("{} is ready", wish.out.display());
    Ok(json!({ "uki": wish.out, "bytes": image.len(), "room": room }))
}

fn join(base: &Base, root: &Tree, words: &str, initramfs: &Initramfs) -> Result<(Vec<u8>, Room)> {
    let kernel = read(&base.path("kernel/vmlinuz"))?;
    let stub = read(&base.path("efi/stub.efi"))?;
    let release = root
        .resolve(Path::new("/usr/lib/os-release"))
        .context("the root has no /usr/lib/os-release")?
        .bytes()?;
    let sections = [
        Section { name: ".osrel", data: &release },
        Section { name: ".cmdline", data: words.as_bytes() },
        Section { name: ".uname", data: base.release().as_bytes() },
        Section { name: ".initrd", data: &initramfs.bytes },
        Section { name: ".linux", data: &kernel },
    ];
    let image = uki::join(&stub, &sections)?;
    let parts = [
        ("root (EROFS)", initramfs.root_bytes),
        ("kernel", kernel.len()),
        ("PID 1 and its modules", initramfs.early_bytes),
        ("stub", stub.len()),
    ];
    Ok((image, Room::of(&parts, root)?))
}

/// What is in the UKI, under which terms, what takes its room, and the stick's boot loader.
fn write_beside(out: &Path, base: &Base, room: &Room) -> Result<()> {
    write(&out.with_extension("room.json"), &serde_json::to_vec_pretty(room)?)?;
    write(&out.with_extension("packages.tsv"), &read(&base.path("packages.tsv"))?)?;
    write(&out.with_extension("boot.efi"), &read(&base.path("efi/boot.efi"))?)?;
    let mut texts: Vec<PathBuf> = fs::read_dir(base.path("licences"))
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
        .context("read the base's licences")?;
    texts.sort();
    let mut licences = Vec::new();
    for path in texts {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        licences.extend(format!("===== {name}\n\n").into_bytes());
        licences.extend(read(&path)?);
        licences.push(b'\n');
    }
    write(&out.with_extension("licences.txt"), &licences)
}
