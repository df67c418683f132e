// SPDX-License-Identifier: Apache-2.0
//! Why STATE and DATA are not there. None of it stops a boot: each ends as a fault in the report.

use std::path::PathBuf;

use kubermesh_node::brief::brief;
use kubermesh_worker::ChannelError;
use rustix::io::Errno;

use crate::gpt::GptError;

/// What went wrong, with its objects.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Not booted by a boot loader that tells its disk: over the network, or directly.
    #[error("the boot loader did not say which disk it started from")]
    NoBootDisk,
    /// The variable holds no partition's name.
    #[error("{path} names no partition")]
    BootDiskName {
        /// The variable.
        path: PathBuf,
    },
    /// The stick that was booted from does not appear.
    #[error(
        "the boot stick (partition {partition}) has not appeared in {seconds} s; disks seen: {seen}"
    )]
    StickAbsent {
        /// PARTUUID.
        partition: String,
        /// How long was waited.
        seconds: u64,
        /// Which disks did appear.
        seen: String,
    },
    /// More than one disk has a partition of that name: copies of a stick.
    #[error(
        "the boot partition {partition} is on {disks}: which one was booted from cannot be told; leave only one plugged in"
    )]
    ManySticks {
        /// PARTUUID.
        partition: String,
        /// Which disks.
        disks: String,
    },
    /// A file or device cannot be used.
    #[error("{attempt} {path}")]
    Path {
        /// `open`, `read`, `make`.
        attempt: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is longer than it may be.
    #[error("{path} is longer than {limit} bytes")]
    TooLong {
        /// Which.
        path: PathBuf,
        /// Its bound.
        limit: u64,
    },
    /// A file is not text.
    #[error("{path} is no text: not UTF-8, or with control characters")]
    NotText {
        /// Which.
        path: PathBuf,
    },
    /// The partition table.
    #[error("the partition table of {disk}")]
    Table {
        /// The disk.
        disk: String,
        /// Why.
        source: GptError,
    },
    /// The table cannot be written.
    #[error("write the partition table of {disk}")]
    Write {
        /// The disk.
        disk: String,
        /// Why.
        source: std::io::Error,
    },
    /// The kernel does not take a partition.
    #[error("tell the kernel of partition {number} on {disk}")]
    Announce {
        /// The disk.
        disk: String,
        /// Which partition.
        number: u32,
        /// Why.
        source: Errno,
    },
    /// A mount.
    #[error("mount {source_name} as {kind} on {target}")]
    Mount {
        /// Device or kind.
        source_name: String,
        /// The file system.
        kind: &'static str,
        /// Where.
        target: PathBuf,
        /// Why.
        source: Errno,
    },
    /// A program cannot be started.
    #[error("start {program}")]
    Start {
        /// Its path.
        program: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// A program failed.
    #[error("{program} {ending}{said}")]
    Failed {
        /// Its path.
        program: &'static str,
        /// `ended with 8`, `was killed by signal 9`.
        ending: String,
        /// Its last line, with a colon before it.
        said: String,
    },
    /// A program got nowhere.
    #[error("{program} got nowhere for {seconds} s and was killed: the disk does not answer")]
    Stalled {
        /// Its path.
        program: &'static str,
        /// How long.
        seconds: u64,
    },
    /// A program does not come to its end.
    #[error(
        "{program} took longer than {seconds} s and was killed; on another machine it may take its time"
    )]
    Slow {
        /// Its path.
        program: &'static str,
        /// How long it was let.
        seconds: u64,
    },
    /// e2fsck wants a person.
    #[error("the file system on {device} cannot be repaired without a person{said}")]
    Damaged {
        /// The partition.
        device: String,
        /// Its last line, with a colon before it.
        said: String,
    },
    /// The identity cannot be read.
    #[error("{path} is not a list of machines")]
    Identity {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: toml::de::Error,
    },
    /// A system call without an object of its own.
    #[error("{attempt}")]
    System {
        /// What was tried.
        attempt: &'static str,
        /// Why.
        source: Errno,
    },
    /// At the end.
    #[error("{point}: {sentence}")]
    StillMounted {
        /// Where.
        point: String,
        /// What was tried.
        sentence: String,
    },
    /// PID 1.
    #[error(transparent)]
    Channel(#[from] ChannelError),
}

/// The whole chain in one line, as a fault's sentence or on standard error. It is cut where nobody
/// reads on: the error of a file quotes the file.
#[must_use]
pub fn in_one_line(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        line = format!("{line}: {inner}");
        cause = inner.source();
    }
    brief(&line)
}
