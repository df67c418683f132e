// SPDX-License-Identifier: Apache-2.0
//! Where a build keeps what it may need again, and its scraps: never in the checkout.
//!
//! One build at a time holds the lock. It finds the scraps of one that was cut short and removes
//! them: an interrupted build leaves nothing that grows.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};

/// The cache's folder, held.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    _lock: File,
}

impl Store {
    /// Opens `KUBERMESH_CACHE`, or the person's own cache; waits for a build that is going on.
    ///
    /// # Errors
    /// There is no such folder and it cannot be made.
    pub fn open() -> Result<Self> {
        let named =
            |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let folder = named("KUBERMESH_CACHE")
            .or_else(|| named("XDG_CACHE_HOME").map(|cache| cache.join("kubermesh")))
            .or_else(|| named("HOME").map(|home| home.join(".cache/kubermesh")))
            .ok_or_else(|| {
                anyhow!("there is no HOME: name a writable folder in KUBERMESH_CACHE")
            })?;
        Self::open_at(&folder)
    }

    /// Opens this folder.
    ///
    /// # Errors
    /// It cannot be made or written.
    pub fn open_at(folder: &Path) -> Result<Self> {
        let attempt = || {
            fs::create_dir_all(folder)?;
            let lock = File::create(folder.join("image.lock"))?;
            Ok::<_, std::io::Error>((folder.canonicalize()?, lock))
        };
        let (folder, lock) = attempt().with_context(|| {
            format!(
                "{} cannot be written: name a writable folder in KUBERMESH_CACHE",
                folder.display()
            )
        })?;
        if let Err(TryLockError::WouldBlock) = lock.try_lock() {
            eprintln!("another build uses {}: waiting for it to end …", folder.display());
        }
        lock.lock().with_context(|| format!("lock {}", folder.display()))?;
        let store = Self { folder, _lock: lock };
        let scraps = store.folder.join(SCRAPS);
        if scraps.exists() {
            fs::remove_dir_all(&scraps).with_context(|| format!("empty {}", scraps.display()))?;
        }
        Ok(store)
    }

    /// What is kept.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// An empty folder for one step, gone with the build.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn scratch(&self, step: &str) -> Result<PathBuf> {
        let folder = self.folder.join(SCRAPS).join(step);
        fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        Ok(folder)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next build.
        let _ = fs::remove_dir_all(self.folder.join(SCRAPS));
    }
}

const SCRAPS: &str = "scraps";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scraps_of_a_build_that_was_cut_short_are_removed_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_at(folder.path()).unwrap();
        fs::write(store.scratch("root").unwrap().join("half"), "half").unwrap();
        std::mem::forget(store);
        // What was forgotten holds the lock for this process: as after a kill, a new file has it not.
        fs::remove_file(folder.path().join("image.lock")).unwrap();

        let next = Store::open_at(folder.path()).unwrap();
        assert_eq!(fs::read_dir(next.scratch("root").unwrap()).unwrap().count(), 0);
        drop(next);
        assert!(!folder.path().join("scraps").exists());
    }
}
