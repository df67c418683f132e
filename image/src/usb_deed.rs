// SPDX-License-Identifier: Apache-2.0
//! `kubermesh-image usb`: the image of a stick.

use anyhow::{Result, ensure};
use kubermesh_image::node_toml::{self, Seed};
use kubermesh_image::progress::Progress;
use kubermesh_image::stick::Stick;
use kubermesh_image::store::Store;
use kubermesh_image::tar_file::Epoch;
use serde_json::{Value, json};

use crate::command::Usb;
use crate::output::read_text;

/// Builds it from a UKI and the boot loader beside that.
pub(crate) fn build(wish: &Usb, progress: &mut Progress) -> Result<Value> {
    let boot_loader = wish.uki.with_extension("boot.efi");
    for path in [&wish.uki, &boot_loader] {
        ensure!(path.is_file(), "{} is missing: `make image` builds it", path.display());
    }
    let seed = wish.seed.as_deref().map_or_else(Seed::random, |words| Ok(Seed::of(words)))?;
    let node_toml = match &wish.node_toml {
        None => node_toml::example(&seed)?,
        Some(file) => {
            let text = read_text(file)?;
            node_toml::check(&file.display().to_string(), &text)?;
            text
        }
    };
    let store = Store::open()?;
    let stick = Stick {
        uki: &wish.uki,
        boot_loader: &boot_loader,
        node_toml: &node_toml,
        seed: &seed,
        epoch: Epoch(wish.epoch),
    };
    progress.step("writing the stick", || stick.write(&wish.out, wish.size, &store))?;
    eprintln!("{} is ready: docs/usb.md says how to put it on a stick", wish.out.display());
    Ok(json!({ "image": wish.out, "bytes": wish.size }))
}
