// SPDX-License-Identifier: Apache-2.0
//! From the command line's folders to a root that was looked at.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use kubermesh_image::base::{self, Base};
use kubermesh_image::module::{self, Selection};
use kubermesh_image::progress::Progress;
use kubermesh_image::root::{self, Ingredients};
use kubermesh_image::store::Store;
use kubermesh_image::tar_file::Epoch;
use kubermesh_image::tree::Tree;
use kubermesh_image::{check, tool};
use serde_json::{Value, json};

use crate::command::Source;
use crate::output::read_text;

/// A good root, and what it was made from.
pub(crate) struct Checked {
    pub(crate) base: Base,
    pub(crate) selection: Selection,
    pub(crate) ingredients: Ingredients,
    pub(crate) root: Tree,
}

/// `kubermesh-image check`.
pub(crate) fn check_only(source: &Source, progress: &mut Progress) -> Result<Value> {
    let store = Store::open()?;
    let files = prepare(source, &store, progress)?.root.iter().count();
    eprintln!("the root is good: {files} files, folders and links");
    Ok(json!({ "files": files }))
}

/// Gets the base and the Go programs, puts the root together and looks at it.
pub(crate) fn prepare(source: &Source, store: &Store, progress: &mut Progress) -> Result<Checked> {
    // Asked first: whoever forgot to build them should not wait for the rest.
    for name in root::OWN_PROGRAMS {
        root::own_program(&source.bin_dir, name)?;
    }
    let lock = source.locked.then(|| source.base.join(base::LOCK));
    let base = progress.step("base", || Base::obtain(&source.base, lock.as_deref(), store))?;
    let selection = select_modules(&source.modules, &base)?;
    let go = progress.step("Go programs", || go_trees(&source.go, store))?;
    let ingredients =
        Ingredients { programs: source.bin_dir.clone(), go, overlays: source.overlay.clone() };
    let root = progress.step("root", || {
        let root = root::assemble(&base, &selection, &ingredients, Epoch(source.epoch), store)?;
        check::root(&root)?;
        Ok(root)
    })?;
    Ok(Checked { base, selection, ingredients, root })
}

/// Each folder's `build` keeps what it built in a cache of its own.
fn go_trees(folders: &[PathBuf], store: &Store) -> Result<Vec<PathBuf>> {
    let build = |folder: &PathBuf| {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let out = store.scratch("go")?.join(&name);
        let mut command = Command::new(folder.join("build"));
        command.arg(&out).env("KUBERMESH_CACHE", store.folder());
        tool::run_told(&mut command, &format!("build {}", folder.display()))?;
        Ok(out)
    };
    folders.iter().map(build).collect()
}

fn select_modules(list: &Path, base: &Base) -> Result<Selection> {
    let table = |name: &str| read_text(&base.path("kernel/modules").join(name));
    module::select(
        &module::wishes(&read_text(list)?)?,
        &table("modules.dep")?,
        &table("modules.softdep")?,
        &table("modules.builtin")?,
    )
}
