// SPDX-License-Identifier: Apache-2.0
//! Small files of file systems that are in memory: /proc, /sys, /run, /etc. Never a disk's: that would wait.

use std::fs::{File, Permissions};
use std::io::{ErrorKind, Read, Result};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::descriptor::OwnedFd;

/// All its text.
///
/// # Errors
/// ENOENT, EMFILE; what is no UTF-8.
pub fn read(path: &Path) -> Result<String> {
    let mut text = String::with_capacity(USUAL);
    // Whoever reads a whole File asks for its size first, which these do not know.
    File::open(path)?.take(u64::MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// Bytes of most of them.
const USUAL: usize = 256;

/// Makes `text` all of it. In /proc and /sys that is one order to the kernel.
///
/// # Errors
/// ENOENT, EMFILE, ENOSPC; EBUSY and others of the kernel's own.
pub fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text)
}

/// Lets everyone read and write it, chmod(2).
///
/// # Errors
/// ENOENT.
pub fn open_to_all(path: &Path) -> Result<()> {
    std::fs::set_permissions(path, Permissions::from_mode(0o666))
}

/// Whether there is one.
#[must_use]
pub fn exists(path: &Path) -> bool {
    path.exists()
}

/// What is in a folder, or nothing: all of it. A name that is no UTF-8 is nobody's.
///
/// # Errors
/// EMFILE, ENOMEM, EIO, ENOENT.
pub fn list(folder: &Path) -> Result<Vec<String>> {
    let entries: Vec<_> = std::fs::read_dir(folder)?.collect::<Result<_>>()?;
    Ok(entries.into_iter().filter_map(|entry| entry.file_name().into_string().ok()).collect())
}

/// Makes a folder, and those above it where they lack. Whether it was not there before.
///
/// # Errors
/// ENOSPC, ENOMEM.
pub fn make_new_folder(path: &Path) -> Result<bool> {
    let made = std::fs::create_dir(path).or_else(|refusal| match path.parent() {
        Some(above) if refusal.kind() == ErrorKind::NotFound => {
            std::fs::create_dir_all(above)?;
            std::fs::create_dir(path)
        }
        Some(_) | None => Err(refusal),
    });
    match made {
        Ok(()) => Ok(true),
        Err(refusal) if refusal.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(refusal) => Err(refusal),
    }
}

/// Removes an empty folder; a cgroup is empty that has no processes and none below.
///
/// # Errors
/// EBUSY, ENOTEMPTY, ENOENT.
pub fn remove_folder(path: &Path) -> Result<()> {
    std::fs::remove_dir(path)
}

/// A folder itself, for who is to begin in it.
///
/// # Errors
/// ENOENT, EMFILE.
pub fn folder(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// /dev/null, to read nothing from and to write into.
///
/// # Errors
/// EMFILE.
pub fn null() -> Result<OwnedFd> {
    File::options().read(true).write(true).open("/dev/null").map(OwnedFd::from)
}
