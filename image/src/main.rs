// SPDX-License-Identifier: Apache-2.0
//! The program of this crate: reads the command line, does one deed, says how it went.

mod command;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use kubermesh_image::base::{self, Base};
use kubermesh_image::module::{self, Selection};
use kubermesh_image::node_toml::{self, Seed};
use kubermesh_image::progress::Progress;
use kubermesh_image::room::Room;
use kubermesh_image::root::{self, Ingredients};
use kubermesh_image::stick::Stick;
use kubermesh_image::tar_file::Epoch;
use kubermesh_image::tree::Tree;
use kubermesh_image::{check, cmdline, erofs, initramfs, tool, uki};
use serde_json::{Value, json};

use crate::command::{CommandLine, Deed, Source, Uki, Usb};

fn main() -> ExitCode {
    let line = CommandLine::parse();
    let mut progress = Progress::default();
    let outcome = match &line.deed {
        Deed::Uki(wish) => build_uki(wish, &mut progress),
        Deed::Usb(wish) => build_usb(wish, &mut progress),
        Deed::Check(source) => check_only(source, &mut progress),
    };
    match outcome {
        Ok(mut result) => {
            if line.json {
                result["steps"] = json!(progress.steps());
                println!("{result}");
            }
            ExitCode::SUCCESS
        }
        Err(refusal) => {
            eprintln!("kubermesh-image: {refusal:#}");
            ExitCode::FAILURE
        }
    }
}

/// A root that was looked at, and what it was made from.
struct Checked {
    base: Base,
    selection: Selection,
    ingredients: Ingredients,
    root: Tree,
}

fn check_only(source: &Source, progress: &mut Progress) -> Result<Value> {
    let scratch = tempfile::tempdir().context("make a temporary folder")?;
    let checked = prepare(source, scratch.path(), progress)?;
    eprintln!("the root is good: {} files", checked.root.iter().count());
    Ok(json!({ "files": checked.root.iter().count() }))
}

fn prepare(source: &Source, scratch: &Path, progress: &mut Progress) -> Result<Checked> {
    let cache = base::cache_folder()?;
    let lock = source.locked.then(|| source.base.join(base::LOCK));
    let base = progress.step("base", || Base::obtain(&source.base, lock.as_deref(), &cache))?;
    let selection = select_modules(&source.modules, &base)?;
    let go = progress.step("Go programs", || {
        let build = |(number, folder): (usize, &PathBuf)| {
            let out = scratch.join(number.to_string());
            let mut command = Command::new(folder.join("build"));
            command.arg(&out).env("KUBERMESH_CACHE", &cache);
            tool::run_shown(&mut command, &format!("building {}", folder.display()))?;
            Ok(out)
        };
        source.go.iter().enumerate().map(build).collect::<Result<Vec<_>>>()
    })?;
    let ingredients =
        Ingredients { programs: source.bin_dir.clone(), go, overlays: source.overlay.clone() };
    let root = progress.step("root", || {
        let root = root::assemble(&base, &selection, &ingredients, Epoch(source.epoch))?;
        check::root(&root)?;
        Ok(root)
    })?;
    Ok(Checked { base, selection, ingredients, root })
}

fn build_uki(wish: &Uki, progress: &mut Progress) -> Result<Value> {
    let epoch = Epoch(wish.source.epoch);
    let scratch = tempfile::tempdir().context("make a temporary folder")?;
    let Checked { base, selection, ingredients, root } =
        prepare(&wish.source, scratch.path(), progress)?;
    let packed =
        progress.step("packing the root", || erofs::pack(&base, &root, epoch, wish.level))?;
    let root_bytes = packed.len();
    let (image, room) = progress.step("joining the UKI", || {
        let init = ingredients.program("init")?;
        let initramfs = initramfs::join(&base, &init, &selection.early, packed, epoch)?;
        let kernel = read(&base.path("kernel/vmlinuz"))?;
        let stub = read(&base.path("efi/stub.efi"))?;
        let words = cmdline::words(
            &fs::read_to_string(&wish.source.cmdline)
                .with_context(|| format!("read {}", wish.source.cmdline.display()))?,
        )?;
        let release = root
            .resolve(Path::new("/usr/lib/os-release"))
            .context("the root has no /usr/lib/os-release")?
            .bytes()?;
        let image = uki::join(
            &stub,
            &[
                uki::Section { name: ".osrel", data: &release },
                uki::Section { name: ".cmdline", data: words.as_bytes() },
                uki::Section { name: ".uname", data: base.release().as_bytes() },
                uki::Section { name: ".initrd", data: &initramfs.bytes },
                uki::Section { name: ".linux", data: &kernel },
            ],
        )?;
        let other = image.len() - initramfs.bytes.len() - kernel.len();
        let parts = [
            ("root (EROFS)", root_bytes),
            ("kernel", kernel.len()),
            ("PID 1 and its modules", initramfs.early_bytes),
            ("stub and names", other + initramfs.bytes.len() - initramfs.early_bytes - root_bytes),
        ];
        Ok((image, Room::of(&parts, &root)?))
    })?;
    eprint!("{room}");
    room.check()?;
    write(&wish.out, &image)?;
    write_beside(&wish.out, &base)?;
    eprintln!("{} is ready", wish.out.display());
    Ok(json!({ "uki": wish.out, "bytes": image.len(), "room": room }))
}

/// What a person needs beside the UKI: what is in it, under which terms, and the stick's boot loader.
fn write_beside(out: &Path, base: &Base) -> Result<()> {
    write(&out.with_extension("packages.tsv"), &read(&base.path("packages.tsv"))?)?;
    write(&out.with_extension("boot.efi"), &read(&base.path("efi/boot.efi"))?)?;
    let mut folder: Vec<PathBuf> = fs::read_dir(base.path("licences"))
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
        .context("read the base's licences")?;
    folder.sort();
    let mut licences = Vec::new();
    for path in folder {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        licences.extend(format!("===== {name}\n\n").into_bytes());
        licences.extend(read(&path)?);
        licences.push(b'\n');
    }
    write(&out.with_extension("licences.txt"), &licences)
}

fn build_usb(wish: &Usb, progress: &mut Progress) -> Result<Value> {
    let boot_loader = wish.uki.with_extension("boot.efi");
    for path in [&wish.uki, &boot_loader] {
        ensure!(path.is_file(), "{} is missing: `make image` builds it", path.display());
    }
    let seed = wish.seed.as_deref().map_or_else(Seed::random, |words| Ok(Seed::of(words)))?;
    let text = match &wish.node_toml {
        None => node_toml::example(&seed)?,
        Some(file) => {
            let name = file.display().to_string();
            let text = fs::read_to_string(file).with_context(|| format!("read {name}"))?;
            node_toml::check(&name, &text)?;
            text
        }
    };
    let stick = Stick {
        uki: &wish.uki,
        boot_loader: &boot_loader,
        node_toml: &text,
        seed: &seed,
        epoch: Epoch(wish.epoch),
    };
    progress.step("writing the stick", || stick.write(&wish.out, wish.size))?;
    eprintln!("{} is ready: docs/usb.md says how to put it on a stick", wish.out.display());
    Ok(json!({ "image": wish.out, "bytes": wish.size }))
}

fn select_modules(list: &Path, base: &Base) -> Result<Selection> {
    let text = |path: PathBuf| {
        fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
    };
    let table = |name: &str| text(base.path("kernel/modules").join(name));
    let wishes = module::wishes(&text(list.to_owned())?)?;
    module::select(
        &wishes,
        &table("modules.dep")?,
        &table("modules.softdep")?,
        &table("modules.builtin")?,
    )
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("read {}", path.display()))
}

/// Whole or not at all: a build cut short leaves the old file.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let attempt = || {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let fresh = tempfile::NamedTempFile::new_in(folder)?;
        fs::write(fresh.path(), bytes)?;
        fs::set_permissions(fresh.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        fresh.persist(path).map_err(|refusal| refusal.error)?;
        Ok::<(), std::io::Error>(())
    };
    attempt().with_context(|| format!("write {}", path.display()))
}
