// SPDX-License-Identifier: Apache-2.0
//! Looks at a finished root and refuses what would fail on the node.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use kubermesh_node::service::{Catalog, Privileges, privileges};
use object::elf::{FileHeader64, PT_INTERP};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{Endianness, elf};

use crate::tree::{Node, Tree};

/// All that can be said of a root without starting it.
///
/// # Errors
/// The first thing that would fail on the node, by name.
pub fn root(root: &Tree) -> Result<()> {
    services(root)?;
    for (path, node) in root.iter() {
        match node {
            Node::File(content, _) => {
                let bytes = content.read()?;
                if bytes.starts_with(b"\x7fELF") && !is_module(path) {
                    program(root, path, &bytes).with_context(|| format!("/{}", path.display()))?;
                }
            }
            Node::Link(to) => link(root, path, to)?,
            Node::Folder(_) => {}
        }
    }
    Ok(())
}

/// The service files fit together and their programs are there: by the code that reads them at boot.
fn services(root: &Tree) -> Result<()> {
    let mut files = Vec::new();
    for (path, node) in root.iter().filter(|(path, _)| path.starts_with(SERVICES)) {
        if let Node::File(content, _) = node {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let text = String::from_utf8(content.read()?)
                .map_err(|_| anyhow!("{name}: a service file is UTF-8"))?;
            files.push((name, text));
        }
    }
    let pairs = files.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    let catalog = Catalog::strict(pairs).map_err(anyhow::Error::new)?;
    let has =
        |program: &str| matches!(root.resolve(Path::new(program)), Some(Node::File(_, 0o755)));
    for (name, spec) in catalog.iter() {
        let program = spec.command.first().map(String::as_str).unwrap_or_default();
        ensure!(
            has(program),
            "{name}.toml: command = [\"{program}\", …], but the image has no such program"
        );
    }
    // PID 1 leaves this table to the launcher; here is the last place to hear of it before a node does.
    for (name, text) in &files {
        let [launcher, _] = privileges::LAUNCHER;
        let confined = Privileges::parse(name, text).map_err(anyhow::Error::new)?.is_some();
        ensure!(
            !confined || has(launcher),
            "{name}: [privileges] wants {launcher}, which the image has not"
        );
    }
    Ok(())
}

/// Its loader and libraries are in the image.
fn program(root: &Tree, path: &Path, bytes: &[u8]) -> Result<()> {
    let header = FileHeader64::<Endianness>::parse(bytes).context("not a program for 64 bits")?;
    let endian = header.endian()?;
    let segments = header.program_headers(endian, bytes)?;
    for segment in segments.iter().filter(|segment| segment.p_type(endian) == PT_INTERP) {
        let loader = segment.data(endian, bytes).map_err(|()| anyhow!("a torn program"))?;
        let loader = String::from_utf8_lossy(loader);
        let loader = loader.trim_end_matches('\0');
        ensure!(
            root.resolve(Path::new(loader)).is_some(),
            "wants the loader {loader}, which the image has not: link it statically, or list the package that has it"
        );
    }
    for library in libraries(header, endian, bytes)? {
        ensure!(
            has_library(root, &library),
            "wants the library {library}, which the image has not: list the package that has it for /{}",
            path.display()
        );
    }
    Ok(())
}

fn libraries(
    header: &FileHeader64<Endianness>,
    endian: Endianness,
    bytes: &[u8],
) -> Result<Vec<String>> {
    let sections = header.sections(endian, bytes)?;
    let Some((dynamic, strings)) = sections.dynamic(endian, bytes)? else {
        return Ok(Vec::new());
    };
    let strings = sections.strings(endian, bytes, strings)?;
    let needed = dynamic.iter().filter(|entry| entry.tag(endian) == elf::DT_NEEDED);
    needed
        .map(|entry| {
            let name = entry.string(endian, strings).context("a torn program")?;
            Ok(String::from_utf8_lossy(name).into_owned())
        })
        .collect()
}

fn has_library(root: &Tree, name: &str) -> bool {
    root.iter().any(|(path, node)| {
        !matches!(node, Node::Folder(_))
            && path.starts_with("usr/lib")
            && path.file_name().is_some_and(|file| file == name)
    })
}

/// Links into what PID 1 mounts cannot be followed here; all others must lead somewhere.
fn link(root: &Tree, path: &Path, to: &Path) -> Result<()> {
    let target = path.parent().unwrap_or(Path::new("")).join(to);
    let into_mounts = |target: &PathBuf| {
        ["proc", "run", "sys", "dev", "etc", "var"]
            .iter()
            .any(|mount| target.strip_prefix("/").unwrap_or(target).starts_with(mount))
    };
    if into_mounts(&target) || path.starts_with(ETC_TEMPLATE) {
        return Ok(());
    }
    if root.resolve(&Path::new("/").join(path)).is_none() {
        bail!("/{} is a link to {}, which the image has not", path.display(), to.display());
    }
    Ok(())
}

fn is_module(path: &Path) -> bool {
    path.starts_with("usr/lib/modules")
}

const SERVICES: &str = "usr/lib/kubermesh/services";
/// Its links are followed when it has become `/etc`.
const ETC_TEMPLATE: &str = "usr/lib/kubermesh/etc";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Content;

    fn said(tree: &Tree) -> String {
        root(tree).map_or_else(|refusal| format!("{refusal:#}"), |()| "fine".to_owned())
    }

    fn with_service(text: &str) -> Tree {
        let mut tree = Tree::default();
        let path = "usr/lib/kubermesh/services/kubelet.toml";
        tree.add_file(path, Content::Bytes(text.as_bytes().to_vec()), false).unwrap();
        tree.add_file("usr/bin/kube", Content::Bytes(b"static".to_vec()), true).unwrap();
        tree.add_link("usr/bin/kubelet", "kube").unwrap();
        tree
    }

    #[test]
    fn a_service_whose_program_is_there_is_fine() {
        assert_eq!(said(&with_service("command = [\"/usr/bin/kubelet\"]\n")), "fine");
    }

    #[test]
    fn a_service_whose_program_is_missing_is_refused() {
        assert_eq!(
            said(&with_service("command = [\"/usr/bin/kubelt\"]\n")),
            "kubelet.toml: command = [\"/usr/bin/kubelt\", …], but the image has no such program"
        );
    }

    #[test]
    fn privileges_that_nobody_understands_or_could_apply_are_refused() {
        let table = |words| format!("command = [\"/usr/bin/kubelet\"]\n[privileges]\n{words}\n");
        assert_eq!(
            said(&with_service(&table("capabilities = [\"ROOT\"]"))),
            "kubelet.toml: privileges.capabilities = \"ROOT\", allowed is a name of capabilities(7) without CAP_"
        );
        let said_of_key = said(&with_service(&table("capabilites = []")));
        assert!(said_of_key.contains("kubelet.toml is not a service file: "), "{said_of_key}");
        assert!(said_of_key.contains("unknown field `capabilites`"), "{said_of_key}");
        assert_eq!(
            said(&with_service(&table(""))),
            "kubelet.toml: [privileges] wants /usr/bin/kubermesh, which the image has not"
        );
    }

    #[test]
    fn a_service_that_waits_for_nobody_we_know_is_refused() {
        let text = "command = [\"/usr/bin/kubelet\"]\nafter = [\"containrd\"]\n";
        assert_eq!(
            said(&with_service(text)),
            "kubelet.toml: after = \"containrd\", but there is no containrd.toml"
        );
    }

    #[test]
    fn a_program_whose_library_is_missing_is_refused_by_the_librarys_name() {
        let mut tree = Tree::default();
        let here = std::env::current_exe().unwrap();
        tree.add_file("usr/bin/here", Content::Disk(here), true).unwrap();
        tree.add_file("lib64/ld-linux-x86-64.so.2", Content::Bytes(vec![]), true).unwrap();
        let said = said(&tree);
        assert!(said.starts_with("/usr/bin/here: wants the library lib"), "{said}");
    }

    #[test]
    fn a_link_to_nothing_is_refused() {
        let mut tree = Tree::default();
        tree.add_link("usr/sbin/fsck.fat", "nothing").unwrap();
        assert_eq!(said(&tree), "/usr/sbin/fsck.fat is a link to nothing, which the image has not");
        tree.add_link("usr/sbin/fsck.fat", "/run/later").unwrap();
        assert_eq!(said(&tree), "fine");
    }
}
