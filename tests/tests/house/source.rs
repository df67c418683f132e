// SPDX-License-Identifier: Apache-2.0
//! The files of the checkout, as text, with their paths from its root.

use std::fs;
use std::path::{Path, PathBuf};

/// One file.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// From the root of the checkout.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// A program for an interpreter, or for make.
    pub(crate) fn is_script(&self) -> bool {
        self.text.starts_with("#!/") || self.path == "Makefile"
    }

    /// Its lines without those that are only comment.
    pub(crate) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(index, line)| (index + 1, line));
        lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every file that a person wrote; what a build makes is not among them.
pub(crate) fn checkout() -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let is_made = BUILT.contains(&name.as_str());
            if path.is_dir() && !is_made {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                let path = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
                found.push(Source { path, text });
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

const BUILT: [&str; 3] = [".git", "target", "out"];
