// SPDX-License-Identifier: Apache-2.0
//! Which files a person means.
//!
//! A file is what its name says: `node.toml`, or else a service file, alone (whom it waits for may
//! be elsewhere). A folder is an overlay: its service files, together with those of the other
//! folders given, must fit each other; or a folder of service files itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::CheckError;

/// A file and what is in it.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// All files to check, by what they are.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) configs: Vec<File>,
    /// Each for itself.
    pub(super) lone_services: Vec<File>,
    /// All together, by file name: a later overlay replaces a file of an earlier one.
    pub(super) services: BTreeMap<String, File>,
}

impl File {
    fn read(path: &Path) -> Result<Self, CheckError> {
        std::fs::read_to_string(path)
            .map(|text| Self { path: path.to_owned(), text })
            .map_err(|source| CheckError::Read { path: path.to_owned(), source })
    }

    /// Its last name: what the parsers know it by.
    pub(super) fn name(&self) -> String {
        self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }
}

impl Gathered {
    pub(super) fn from(paths: &[PathBuf]) -> Result<Self, CheckError> {
        let mut gathered = Self::default();
        for path in paths {
            if !path.is_dir() {
                gathered.add_file(path)?;
            } else if !gathered.add_folder(path)? {
                return Err(CheckError::Nothing { path: path.clone() });
            }
        }
        Ok(gathered)
    }

    pub(super) fn count(&self) -> usize {
        [self.configs.len(), self.lone_services.len(), self.services.len()].iter().sum()
    }

    fn add_file(&mut self, path: &Path) -> Result<(), CheckError> {
        let file = File::read(path)?;
        let kind = if is_config(path) { &mut self.configs } else { &mut self.lone_services };
        kind.push(file);
        Ok(())
    }

    /// Whether there was anything.
    fn add_folder(&mut self, folder: &Path) -> Result<bool, CheckError> {
        let services = folder.join(SERVICES);
        let services = if services.is_dir() { services } else { folder.to_owned() };
        let mut found = false;
        for path in entries(&services)? {
            if is_toml(&path) && !is_config(&path) {
                let file = File::read(&path)?;
                self.services.insert(file.name(), file);
                found = true;
            }
        }
        for config in [folder.join("node.toml"), folder.join("kubermesh/node.toml")] {
            if config.is_file() {
                self.configs.push(File::read(&config)?);
                found = true;
            }
        }
        Ok(found)
    }
}

/// In order of their names: the same folder reads the same on each machine.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, CheckError> {
    let failed = |source| CheckError::Read { path: folder.to_owned(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    Ok(paths)
}

fn is_toml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "toml") && path.is_file()
}

fn is_config(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "node.toml")
}

/// Where an overlay has its service files (decision 16).
const SERVICES: &str = "usr/lib/kubermesh/services";
