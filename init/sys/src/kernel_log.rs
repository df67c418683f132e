// SPDX-License-Identifier: Apache-2.0
//! The kernel's log as a place to write to, /dev/kmsg. It outlives everything and waits for nobody.

use std::fs::File;
use std::io::Write;

use crate::descriptor::{AsRawFd, RawFd};

/// An open /dev/kmsg.
#[derive(Debug)]
pub struct KernelLog {
    file: File,
}

impl KernelLog {
    /// Opens it.
    ///
    /// # Errors
    /// ENOENT before /dev is there.
    pub fn open() -> std::io::Result<Self> {
        File::options().write(true).open("/dev/kmsg").map(|file| Self { file })
    }

    /// Writes one line, its urgency before it: `<3>words`.
    ///
    /// # Errors
    /// EINVAL for one that is longer than the kernel takes.
    pub fn write(&self, line: &str) -> std::io::Result<()> {
        (&self.file).write_all(line.as_bytes())
    }

    /// Its number, for a handler that has nothing else.
    #[must_use]
    pub fn number(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}
