// SPDX-License-Identifier: Apache-2.0
//! Reads and writes whole files, each named when it cannot be.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};

/// The whole file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("read {}", path.display()))
}

/// The whole file as text.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
}

/// Whole or not at all: a build cut short leaves the old file. Readable by all, whatever the umask.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let attempt = || {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let mut fresh = tempfile::NamedTempFile::new_in(folder)?;
        fresh.write_all(bytes)?;
        fs::set_permissions(fresh.path(), Permissions::from_mode(0o644))?;
        fresh.persist(path).map_err(|refusal| refusal.error)?;
        Ok::<(), std::io::Error>(())
    };
    attempt().with_context(|| format!("write {}", path.display()))
}
