// SPDX-License-Identifier: Apache-2.0
//! Files that others read, and the kernel's settings.

use std::io;
use std::path::{Path, PathBuf};

/// Why a file was not written.
#[derive(Debug, thiserror::Error)]
#[error("write {path}")]
pub struct FileError {
    path: PathBuf,
    source: io::Error,
}

/// Replaces a file, so that whoever reads it finds the old text or the new one whole. `draft` is
/// on the same file system, and not in a folder that somebody watches for new files.
pub(crate) fn replace(path: &Path, draft: &Path, text: &str) -> Result<(), FileError> {
    let attempt = || {
        for folder in [path.parent(), draft.parent()].into_iter().flatten() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(draft, text)?;
        std::fs::rename(draft, path)
    };
    attempt().map_err(|source| FileError { path: path.to_owned(), source })
}

/// Writes `net.ipv6.conf.<port>.<key>`.
pub(crate) fn set(port: &str, key: &str, value: &str) -> Result<(), FileError> {
    let path = Path::new("/proc/sys/net/ipv6/conf").join(port).join(key);
    std::fs::write(&path, value).map_err(|source| FileError { path, source })
}
