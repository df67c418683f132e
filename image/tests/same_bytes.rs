// SPDX-License-Identifier: Apache-2.0
//! The same input gives the same bytes: from another path, under another umask, at another time,
//! in another order of creation. From a tiny root to the stick, with the tools of the real base.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use kubermesh_image::base::Base;
use kubermesh_image::node_toml::{self, Seed};
use kubermesh_image::stick::Stick;
use kubermesh_image::store::Store;
use kubermesh_image::tar_file::Epoch;
use kubermesh_image::tree::Tree;
use kubermesh_image::uki::{self, Section};
use kubermesh_image::{erofs, initramfs};

/// A checkout as one person has it.
struct Checkout {
    folder: PathBuf,
    file_mode: u32,
    newest_first: bool,
}

impl Checkout {
    fn fill(&self) -> Result<Tree> {
        let mut files = [("usr/bin/program", "#!"), ("usr/lib/text", "words"), ("init", "elf")];
        if self.newest_first {
            files.reverse();
        }
        for (name, text) in files {
            let path = self.folder.join(name);
            fs::create_dir_all(path.parent().context("a path has a folder")?)?;
            fs::write(&path, text)?;
            let run = if name == "usr/lib/text" { 0 } else { 0o100 };
            fs::set_permissions(&path, Permissions::from_mode(self.file_mode | run))?;
        }
        let mut tree = Tree::default();
        tree.add_disk(&self.folder, Path::new(""))?;
        Ok(tree)
    }
}

fn build(base: &Base, store: &Store, checkout: &Checkout) -> Result<(Vec<u8>, Vec<u8>)> {
    let epoch = Epoch(1_700_000_000);
    let root = erofs::pack(base, &checkout.fill()?, epoch, 3, store)?;
    let init = checkout.folder.join("init");
    let initramfs = initramfs::join(base, &init, &[], root, epoch)?;
    let stub = fs::read(base.path("efi/stub.efi"))?;
    let image = uki::join(&stub, &[Section { name: ".initrd", data: &initramfs.bytes }])?;

    let uki = checkout.folder.join("kubermesh.efi");
    fs::write(&uki, &image)?;
    let seed = Seed::of("one stick");
    let stick = Stick {
        uki: &uki,
        boot_loader: &base.path("efi/boot.efi"),
        node_toml: &node_toml::example(&seed)?,
        seed: &seed,
        epoch,
    };
    let out = checkout.folder.join("stick.img");
    stick.write(&out, 520 << 20, store)?;
    Ok((image, fs::read(&out)?))
}

#[test]
fn two_people_build_the_same_image() {
    let store = Store::open().unwrap();
    let maker = Path::new(env!("CARGO_MANIFEST_DIR")).join("debian");
    let base = Base::obtain(&maker, None, &store).unwrap();
    let homes = tempfile::tempdir().unwrap();
    let checkout = |name, file_mode, newest_first| {
        let folder = homes.path().join(name);
        Checkout { folder, file_mode, newest_first }
    };

    let one = build(&base, &store, &checkout("careful", 0o600, false)).unwrap();
    // FAT keeps times of two seconds: what came from the clock would differ now.
    std::thread::sleep(std::time::Duration::from_millis(2100));
    let other = build(&base, &store, &checkout("a/longer/path", 0o664, true)).unwrap();

    assert!(one.0 == other.0, "the UKIs differ");
    assert!(one.1 == other.1, "the sticks differ");
}
