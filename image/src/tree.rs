// SPDX-License-Identifier: Apache-2.0
//! A tree of files as a value: what the image holds, before any of it is written.
//!
//! Owner and time are not kept: all is root's and of one time. Modes are two, so that a person's
//! umask cannot reach the image: what may be run is 0755, all else 0644.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

/// What lies at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A folder and its mode.
    Folder(u32),
    /// A file and its mode.
    File(Content, u32),
    /// A symbolic link and where it points.
    Link(PathBuf),
}

/// A file's bytes, or where to get them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The bytes themselves.
    Bytes(Vec<u8>),
    /// A file of the build machine.
    Disk(PathBuf),
}

/// Files by path, without a leading `/`; a folder comes before what is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    nodes: BTreeMap<PathBuf, Node>,
}

impl Tree {
    /// All nodes, sorted by path.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_path(), node))
    }

    /// The node at a path, links not followed.
    #[must_use]
    pub fn node(&self, path: impl AsRef<Path>) -> Option<&Node> {
        self.nodes.get(path.as_ref())
    }

    /// Makes a folder and those above it. One that is there keeps its mode.
    ///
    /// # Errors
    /// Something on the way is not a folder.
    pub fn add_folder(&mut self, path: impl AsRef<Path>) -> Result<()> {
        self.add_folder_of(path.as_ref(), 0o755)
    }

    /// Makes a folder of an unusual mode, or gives one that is there this mode.
    ///
    /// # Errors
    /// Something on the way is not a folder.
    pub fn set_folder(&mut self, path: impl AsRef<Path>, mode: u32) -> Result<()> {
        self.add_folder_of(path.as_ref(), mode)?;
        self.nodes.insert(path.as_ref().to_owned(), Node::Folder(mode));
        Ok(())
    }

    /// Puts a file; one that is there is replaced.
    ///
    /// # Errors
    /// Something on the way is not a folder.
    pub fn add_file(
        &mut self,
        path: impl AsRef<Path>,
        content: Content,
        is_program: bool,
    ) -> Result<()> {
        let mode = if is_program { 0o755 } else { 0o644 };
        self.add(path.as_ref(), Node::File(content, mode))
    }

    /// Puts a symbolic link; one that is there is replaced.
    ///
    /// # Errors
    /// Something on the way is not a folder.
    pub fn add_link(&mut self, path: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<()> {
        self.add(path.as_ref(), Node::Link(to.as_ref().to_owned()))
    }

    /// Puts a node as it is; a file or link that is there is replaced.
    ///
    /// # Errors
    /// Something on the way is not a folder.
    pub fn add_node(&mut self, path: &Path, node: &Node) -> Result<()> {
        match node {
            Node::Folder(mode) => self.add_folder_of(path, *mode),
            Node::File(..) | Node::Link(_) => self.add(path, node.clone()),
        }
    }

    /// Adds everything below a folder of the build machine, below `at`.
    ///
    /// # Errors
    /// It cannot be read, or holds what is neither file, folder nor link.
    pub fn add_disk(&mut self, folder: &Path, at: &Path) -> Result<()> {
        let entries = fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("read {}", folder.display()))?;
            let (from, to) = (entry.path(), at.join(entry.file_name()));
            let about = entry.metadata().with_context(|| format!("read {}", from.display()))?;
            if about.is_dir() {
                self.add_folder(&to)?;
                self.add_disk(&from, &to)?;
            } else if about.is_symlink() {
                self.add_link(&to, fs::read_link(&from)?)?;
            } else if about.is_file() {
                let is_program = about.permissions().mode() & 0o100 != 0;
                self.add_file(&to, Content::Disk(from), is_program)?;
            } else {
                bail!("{} is neither a file, a folder nor a link", from.display());
            }
        }
        Ok(())
    }

    /// The node at an absolute path of the running system, links followed.
    #[must_use]
    pub fn resolve(&self, path: &Path) -> Option<&Node> {
        let mut at = self.real_path(path)?;
        for _ in 0..MOST_LINKS {
            match self.nodes.get(&at)? {
                Node::Link(to) => {
                    at = self.real_path(&at.parent().unwrap_or(Path::new("")).join(to))?;
                }
                found @ (Node::Folder(_) | Node::File(..)) => return Some(found),
            }
        }
        None
    }

    /// The path with the links of its folders followed, as far as they lie in this tree.
    fn real_path(&self, path: &Path) -> Option<PathBuf> {
        let mut at = PathBuf::new();
        for part in path.components() {
            match part {
                Component::RootDir => at.clear(),
                Component::Normal(name) => {
                    if let Some(Node::Link(to)) = self.nodes.get(&at) {
                        let from = at.parent().unwrap_or(Path::new("")).join(to);
                        at = self.real_path(&from)?;
                    }
                    at.push(name);
                }
                Component::ParentDir => {
                    at.pop();
                }
                Component::CurDir | Component::Prefix(_) => {}
            }
        }
        Some(at)
    }

    fn add(&mut self, path: &Path, node: Node) -> Result<()> {
        ensure!(
            path.components().all(|part| matches!(part, Component::Normal(_))),
            "{} is not a path within the image",
            path.display()
        );
        if let Some(folder) = path.parent() {
            self.add_folder(folder)?;
        }
        ensure!(
            !matches!(self.nodes.get(path), Some(Node::Folder(_))),
            "/{} is a folder already",
            path.display()
        );
        self.nodes.insert(path.to_owned(), node);
        Ok(())
    }

    fn add_folder_of(&mut self, path: &Path, mode: u32) -> Result<()> {
        let mut at = PathBuf::new();
        for part in path.components() {
            at.push(part);
            let last = at == path;
            match self.nodes.get(&at) {
                None => {
                    self.nodes.insert(at.clone(), Node::Folder(if last { mode } else { 0o755 }));
                }
                Some(Node::Folder(_)) => {}
                Some(Node::Link(to)) => {
                    bail!("/{} is a link to {}: put it there", at.display(), to.display())
                }
                Some(Node::File(..)) => bail!("/{} is a file already", at.display()),
            }
        }
        Ok(())
    }
}

impl Node {
    /// A file's bytes.
    ///
    /// # Errors
    /// It is no file, or cannot be read.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        match self {
            Self::File(content, _) => content.read(),
            Self::Folder(_) | Self::Link(_) => bail!("only a file has bytes"),
        }
    }
}

impl Content {
    /// All bytes.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&self) -> Result<Vec<u8>> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.clone()),
            Self::Disk(path) => fs::read(path).with_context(|| format!("read {}", path.display())),
        }
    }

    /// How many bytes.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn size(&self) -> Result<u64> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.len() as u64),
            Self::Disk(path) => {
                Ok(fs::metadata(path).with_context(|| format!("read {}", path.display()))?.len())
            }
        }
    }
}

/// path_resolution(7) allows 40.
const MOST_LINKS: u32 = 40;

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Content {
        Content::Bytes(text.as_bytes().to_vec())
    }

    #[test]
    fn the_mode_on_disk_says_only_whether_a_file_may_be_run() {
        let folder = tempfile::tempdir().unwrap();
        for (name, mode) in [("program", 0o700), ("text", 0o600), ("shared", 0o664)] {
            let path = folder.path().join(name);
            fs::write(&path, name).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        let mut tree = Tree::default();
        tree.add_disk(folder.path(), Path::new("usr")).unwrap();

        let modes: Vec<u32> = tree
            .iter()
            .filter_map(|(_, node)| match node {
                Node::File(_, mode) => Some(*mode),
                Node::Folder(_) | Node::Link(_) => None,
            })
            .collect();
        assert_eq!(modes, [0o755, 0o644, 0o644], "program, shared, text");
    }

    #[test]
    fn a_program_is_found_through_the_links_of_a_merged_usr() {
        let mut tree = Tree::default();
        tree.add_link("sbin", "usr/sbin").unwrap();
        tree.add_file("usr/bin/kmod", bytes("elf"), true).unwrap();
        tree.add_link("usr/sbin/modprobe", "../bin/kmod").unwrap();
        tree.add_link("usr/sbin/again", "/sbin/modprobe").unwrap();

        let kmod = tree.node("usr/bin/kmod");
        assert_eq!(tree.resolve(Path::new("/sbin/modprobe")), kmod);
        assert_eq!(tree.resolve(Path::new("/usr/sbin/again")), kmod);
        assert_eq!(tree.resolve(Path::new("/sbin/ip")), None);
    }

    #[test]
    fn a_circle_of_links_leads_nowhere() {
        let mut tree = Tree::default();
        tree.add_link("a", "b").unwrap();
        tree.add_link("b", "a").unwrap();
        assert_eq!(tree.resolve(Path::new("/a")), None);
    }

    #[test]
    fn a_file_below_a_link_is_refused_with_the_place_where_it_belongs() {
        let mut tree = Tree::default();
        tree.add_link("bin", "usr/bin").unwrap();
        let refusal = tree.add_file("bin/tool", bytes(""), true).unwrap_err();
        assert_eq!(refusal.to_string(), "/bin is a link to usr/bin: put it there");
    }

    #[test]
    fn what_comes_later_replaces_a_file_but_never_a_folder() {
        let mut tree = Tree::default();
        tree.add_file("etc/hosts", bytes("base"), false).unwrap();
        tree.add_file("etc/hosts", bytes("overlay"), false).unwrap();
        assert_eq!(tree.node("etc/hosts"), Some(&Node::File(bytes("overlay"), 0o644)));
        let refusal = tree.add_file("etc", bytes(""), false).unwrap_err();
        assert_eq!(refusal.to_string(), "/etc is a folder already");
    }
}
