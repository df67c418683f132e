// SPDX-License-Identifier: Apache-2.0
//! /dev/kmsg: each line is one of the story.

use crate::descriptor::{OwnedFd, RawFd};
use crate::kernel::{Thing, call};

#[derive(Debug)]
pub struct KernelLog {
    file: OwnedFd,
}

impl KernelLog {
    pub fn open() -> std::io::Result<Self> {
        call("open", |machine| machine.open(Thing::Log))
            .map(|number| Self { file: OwnedFd(number) })
            .map_err(|errno| std::io::Error::from_raw_os_error(errno.raw_os_error()))
    }

    pub fn write(&self, record: &str) -> std::io::Result<()> {
        call("write", |machine| machine.logs(record));
        Ok(())
    }

    pub fn number(&self) -> RawFd {
        self.file.0
    }
}

pub fn record(level: u8, line: &str) -> String {
    format!("<{level}>{line}\n")
}
