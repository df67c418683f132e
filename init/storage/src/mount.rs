// SPDX-License-Identifier: Apache-2.0
//! Mounts by the new calls (fsopen(2) and its family): a file system may be read without ever
//! being attached anywhere, and goes away with its descriptor.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, move_mount,
};

use crate::error::StorageError;

/// A file system to be mounted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mount<'a> {
    /// Its kind as the kernel knows it.
    pub(crate) kind: &'static str,
    /// The device; none for a tmpfs.
    pub(crate) source: Option<&'a Path>,
    /// Options of the file system; an empty value is a flag.
    pub(crate) options: &'a [(&'a str, &'a str)],
    /// Options of the mount.
    pub(crate) attributes: MountAttrFlags,
}

impl Mount<'_> {
    /// Mounts it nowhere: only the descriptor leads there.
    pub(crate) fn detached(&self) -> Result<OwnedFd, StorageError> {
        self.open().map_err(|source| self.refused(Path::new("nothing"), source))
    }

    /// Mounts it on a folder, which is made if need be and possible.
    pub(crate) fn attach(&self, target: &Path) -> Result<(), StorageError> {
        let _ = std::fs::create_dir_all(target);
        let mounted = self.open().map_err(|source| self.refused(target, source))?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        move_mount(mounted.as_fd(), c"", CWD, target, flags)
            .map_err(|source| self.refused(target, source))
    }

    fn open(&self) -> Result<OwnedFd, Errno> {
        let context = fsopen(self.kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
        if let Some(source) = self.source {
            fsconfig_set_string(&context, "source", source)?;
        }
        for (key, value) in self.options {
            if value.is_empty() {
                fsconfig_set_flag(&context, *key)?;
            } else {
                fsconfig_set_string(&context, *key, *value)?;
            }
        }
        fsconfig_create(&context)?;
        fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, self.attributes)
    }

    fn refused(&self, target: &Path, source: Errno) -> StorageError {
        let name = self.source.map_or_else(|| self.kind.into(), |path| path.display().to_string());
        let target = target.to_owned();
        StorageError::Mount { source_name: name, kind: self.kind, target, source }
    }
}

/// A mount of this thread's namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mounted {
    /// Of its file system, `major:minor`; of a block device its own.
    pub(crate) number: String,
    pub(crate) point: String,
    pub(crate) kind: String,
    pub(crate) source: String,
    pub(crate) options: String,
}

/// All mounts, in the order in which they were made.
pub(crate) fn mounts() -> Vec<Mounted> {
    let text = std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap_or_default();
    text.lines().filter_map(parse).collect()
}

/// proc_pid_mountinfo(5): `36 35 98:0 / /mnt rw shared:1 - ext4 /dev/root rw,errors=continue`.
pub(crate) fn parse(line: &str) -> Option<Mounted> {
    let mut words = line.split(' ').skip(2);
    let (number, point) = (words.next()?.to_owned(), words.nth(1)?);
    // After the options as many words as the kernel likes, and a dash.
    let mut tail = words.skip(1).skip_while(|word| *word != "-").skip(1);
    Some(Mounted {
        number,
        point: unescape(point),
        kind: tail.next()?.to_owned(),
        source: unescape(tail.next()?),
        options: tail.next().unwrap_or_default().to_owned(),
    })
}

/// Blank, tab, newline, in a source the hash, and backslash are written as three octal digits.
fn unescape(text: &str) -> String {
    [(r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\043", "#"), (r"\134", "\\")]
        .into_iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_mountinfo_is_read() {
        let line =
            r"36 35 98:0 / /var/a\040b rw,noatime shared:1 - overlay overlay rw,upperdir=/var/u";
        let mounted = parse(line).unwrap();
        assert_eq!((mounted.number.as_str(), mounted.point.as_str()), ("98:0", "/var/a b"));
        assert_eq!((mounted.kind.as_str(), mounted.source.as_str()), ("overlay", "overlay"));
        assert_eq!(mounted.options, "rw,upperdir=/var/u");
        // A name is a name, also where it looks like the dash before the kind.
        let named = |point| parse(&format!("36 35 98:0 / {point} rw - ext4 - rw")).unwrap();
        assert_eq!((named("/-").point.as_str(), named("-").point.as_str()), ("/-", "-"));
        assert_eq!((named("-").kind.as_str(), named("-").source.as_str()), ("ext4", "-"));
        assert_eq!(parse("nonsense"), None);
    }
}
