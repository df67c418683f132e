// SPDX-License-Identifier: Apache-2.0
//! Which kernel modules the image keeps: the listed ones and what they depend on.
//!
//! ```text
//! modules.list ─┐
//! modules.dep ──┴─► Selection ─► /usr/lib/modules/<release> (+ depmod) · /modules of the initramfs
//!                        └─► modinfo ─► firmware
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::base::Base;
use crate::store::Store;
use crate::tool;
use crate::tree::{Content, Tree};

/// A row of modules.list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    place: Place,
    name: String,
}

/// Where a module is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Early,
    Root,
}

/// The modules that are kept, as paths below `/lib/modules/<release>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// What PID 1 loads from the initramfs, in the order of loading.
    pub early: Vec<PathBuf>,
    /// All, the early ones too.
    pub all: BTreeSet<PathBuf>,
}

/// Reads modules.list.
///
/// # Errors
/// A row that is not `place module # why`.
pub fn wishes(text: &str) -> Result<Vec<Wish>> {
    let mut wishes = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let (words, why) = line.split_once('#').unwrap_or((line, ""));
        let words: Vec<&str> = words.split_whitespace().collect();
        let (place, name) = match words.as_slice() {
            [] => continue,
            ["early", name] => (Place::Early, *name),
            ["root", name] => (Place::Root, *name),
            _ => bail!(
                "modules.list, line {number}: a row is `early` or `root`, a module, # and why"
            ),
        };
        ensure!(!why.trim().is_empty(), "modules.list, line {number}: {name} has no reason");
        wishes.push(Wish { place, name: name.to_owned() });
    }
    Ok(wishes)
}

/// Finds each wish and what it depends on, in the texts of modules.dep, modules.softdep and modules.builtin.
///
/// # Errors
/// A wish that the kernel has neither as a module nor built in, named.
pub fn select(wishes: &[Wish], dep: &str, softdep: &str, builtin: &str) -> Result<Selection> {
    let kernel = Kernel::read(dep, softdep, builtin);
    let mut selection = Selection::default();
    for wish in wishes {
        let mut order = Vec::new();
        kernel.load_order(&wish.name, &mut order)?;
        for path in order {
            if wish.place == Place::Early && !selection.early.contains(&path) {
                selection.early.push(path.clone());
            }
            selection.all.insert(path);
        }
    }
    Ok(selection)
}

/// What a kernel has.
struct Kernel {
    /// By name: its path, then what it needs, in the order of modules.dep.
    modules: BTreeMap<String, Vec<PathBuf>>,
    softly: BTreeMap<String, Vec<String>>,
    builtin: BTreeSet<String>,
}

impl Kernel {
    fn read(dep: &str, softdep: &str, builtin: &str) -> Self {
        let modules = dep.lines().filter_map(|line| {
            let (path, needs) = line.split_once(':')?;
            let paths = std::iter::once(path).chain(needs.split_whitespace());
            Some((name_of(Path::new(path)), paths.map(PathBuf::from).collect()))
        });
        let softly = softdep.lines().filter_map(|line| {
            let mut words = line.strip_prefix("softdep ")?.split_whitespace();
            let name = one_spelling(words.next()?);
            let first = words.skip_while(|word| *word != "pre:").skip(1);
            Some((name, first.take_while(|word| !word.ends_with(':')).map(one_spelling).collect()))
        });
        Self {
            modules: modules.collect(),
            softly: softly.collect(),
            builtin: builtin.lines().map(|line| name_of(Path::new(line))).collect(),
        }
    }

    fn load_order(&self, name: &str, order: &mut Vec<PathBuf>) -> Result<()> {
        let name = one_spelling(name);
        let Some(paths) = self.modules.get(&name) else {
            ensure!(
                self.builtin.contains(&name),
                "modules.list asks for {name}, which this kernel has neither as a module nor built in"
            );
            return Ok(());
        };
        // depmod lists what must be loaded first last.
        for path in paths.iter().rev() {
            if order.contains(path) {
                continue;
            }
            for soft in self.softly.get(&name_of(path)).into_iter().flatten() {
                // An alias such as crypto-crc32c is one of several: modules.list names which.
                if self.modules.contains_key(soft) {
                    self.load_order(soft, order)?;
                }
            }
            order.push(path.clone());
        }
        Ok(())
    }
}

/// The modules with depmod's tables for just these, and the firmware that they name.
///
/// # Errors
/// A tool of the base fails, or a file cannot be read.
pub fn installed(base: &Base, selection: &Selection, store: &Store) -> Result<Tree> {
    let scratch = store.scratch("modules")?;
    let at = Path::new("lib/modules").join(base.release());
    let folder = scratch.join(&at);
    let tables = ["modules.order", "modules.builtin", "modules.builtin.modinfo"].map(PathBuf::from);
    for path in selection.all.iter().chain(&tables) {
        let (from, to) = (base.path("kernel/modules").join(path), folder.join(path));
        fs::create_dir_all(to.parent().unwrap_or(&folder)).context("make a temporary folder")?;
        fs::copy(&from, &to).with_context(|| format!("copy {}", from.display()))?;
    }
    let mut depmod = base.tool("depmod");
    tool::run(depmod.arg("-b").arg(&scratch).arg(base.release()), "list the modules")?;
    let mut tree = Tree::default();
    for file in files_below(&folder)? {
        let content = Content::Bytes(fs::read(folder.join(&file))?);
        tree.add_file(Path::new("usr").join(&at).join(&file), content, false)?;
    }
    add_firmware(base, selection, &mut tree)?;
    Ok(tree)
}

fn add_firmware(base: &Base, selection: &Selection, tree: &mut Tree) -> Result<()> {
    let mut modinfo = base.tool("modinfo");
    modinfo.args(["-F", "firmware"]);
    modinfo.args(selection.all.iter().map(|path| base.path("kernel/modules").join(path)));
    let names = tool::run(&mut modinfo, "ask the modules for their firmware")?;
    for name in String::from_utf8_lossy(&names).lines() {
        let file = base.path("firmware").join(name);
        // Many names are of chips that no listed maker has: the driver works without.
        if file.is_file() {
            tree.add_file(Path::new("usr/lib/firmware").join(name), Content::Disk(file), false)?;
        }
    }
    Ok(())
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut tree = Tree::default();
    tree.add_disk(folder, Path::new(""))?;
    let is_file = |path: &PathBuf| folder.join(path).is_file();
    Ok(tree.iter().map(|(path, _)| path.to_owned()).filter(is_file).collect())
}

/// `kernel/fs/erofs/erofs.ko.xz` is `erofs`.
fn name_of(path: &Path) -> String {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    one_spelling(file.split('.').next().unwrap_or_default())
}

/// The kernel takes `-` and `_` in a module's name for one.
fn one_spelling(name: &str) -> String {
    name.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEP: &str = "\
kernel/fs/erofs/erofs.ko.xz: kernel/lib/libcrc32c.ko.xz
kernel/lib/libcrc32c.ko.xz:
kernel/crypto/crc32c_generic.ko.xz:
kernel/net/r8169.ko.xz: kernel/phy/mdio_devres.ko.xz kernel/phy/libphy.ko.xz
kernel/phy/mdio_devres.ko.xz: kernel/phy/libphy.ko.xz
kernel/phy/libphy.ko.xz:
kernel/phy/realtek.ko.xz: kernel/phy/libphy.ko.xz
";

    fn chosen(list: &str) -> Result<Selection> {
        select(&wishes(list)?, DEP, "softdep r8169 pre: realtek\n", "kernel/fs/ext4/ext4.ko\n")
    }

    fn names(paths: impl IntoIterator<Item = PathBuf>) -> Vec<String> {
        paths.into_iter().map(|path| name_of(&path)).collect()
    }

    #[test]
    fn early_modules_come_in_the_order_of_loading() {
        let selection = chosen("early crc32c-generic # sum\nearly erofs # root\n").unwrap();
        assert_eq!(names(selection.early), ["crc32c_generic", "libcrc32c", "erofs"]);
    }

    #[test]
    fn what_a_driver_asks_for_comes_along_softly_asked_or_not() {
        let selection = chosen("root r8169 # cables\n").unwrap();
        assert_eq!(names(selection.all), ["r8169", "libphy", "mdio_devres", "realtek"]);
        assert_eq!(selection.early, [] as [PathBuf; 0]);
    }

    #[test]
    fn a_module_that_is_built_in_is_there() {
        assert_eq!(chosen("root ext4 # STATE\n").unwrap(), Selection::default());
    }

    #[test]
    fn a_missing_module_is_named() {
        assert_eq!(
            chosen("root ipx # nostalgia\n").unwrap_err().to_string(),
            "modules.list asks for ipx, which this kernel has neither as a module nor built in"
        );
    }

    #[test]
    fn a_module_without_a_reason_is_refused() {
        let refusal = wishes("# head\nroot igc\n").unwrap_err();
        assert_eq!(refusal.to_string(), "modules.list, line 2: igc has no reason");
    }
}
