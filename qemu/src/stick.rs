// SPDX-License-Identifier: Apache-2.0
//! The USB stick in a machine: a private copy of an image, and what can go wrong with it.
//!
//! ```text
//!   image.img (never written) ◄─ stick.qcow2 ◄─ [writes.log recorder] ◄─ usb-storage
//!                                     └──────── or over NBD, from a server that can be frozen
//! ```

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::process::{Process, require, run};
use crate::write_log::WriteLog;

/// A stick to be put into a machine.
#[derive(Clone, Debug)]
pub struct Stick {
    image: PathBuf,
    readonly: bool,
    log_writes: bool,
    may_hang: bool,
    written_per_second: Option<u64>,
    size_mib: Option<u64>,
}

impl Stick {
    /// A stick with the bytes of a raw image. The image stays as it is.
    pub fn from_image(image: impl Into<PathBuf>) -> Self {
        Self {
            image: image.into(),
            readonly: false,
            log_writes: false,
            may_hang: false,
            written_per_second: None,
            size_mib: None,
        }
    }

    /// The write-protect switch.
    #[must_use]
    pub fn readonly(mut self) -> Self {
        self.readonly = true;
        self
    }

    /// Records each write and flush: see [`crate::WriteLog`].
    #[must_use]
    pub fn log_writes(mut self) -> Self {
        self.log_writes = true;
        self
    }

    /// Can be made to hang with [`crate::Machine::freeze_stick`].
    #[must_use]
    pub fn may_hang(mut self) -> Self {
        self.may_hang = true;
        self
    }

    /// Takes no more than so many bytes a second.
    #[must_use]
    pub fn slow(mut self, bytes_per_second: u64) -> Self {
        self.written_per_second = Some(bytes_per_second);
        self
    }

    /// A stick larger than the image, as most are: the table's second copy is then not at its end.
    #[must_use]
    pub fn size_mib(mut self, size_mib: u64) -> Self {
        self.size_mib = Some(size_mib);
        self
    }

    /// Makes the private copy: only what changes takes room.
    pub(crate) fn copy_into(&self, folder: &Path) -> Result<()> {
        ensure!(!(self.log_writes && self.may_hang), "a stick cannot both hang and log its writes");
        require("qemu-img", "qemu-utils")?;
        let image = self
            .image
            .canonicalize()
            .with_context(|| format!("open the image {}", self.image.display()))?;
        let copy = folder.join(COPY);
        let argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b"];
        let mut argv: Vec<OsString> = argv.iter().map(Into::into).collect();
        argv.extend([image.into_os_string(), copy.into_os_string()]);
        argv.extend(self.size_mib.map(|size_mib| OsString::from(format!("{size_mib}M"))));
        run(&argv).map(drop)
    }

    /// Starts the server of a stick that may hang.
    pub(crate) fn serve(&self, folder: &Path) -> Result<Option<Process>> {
        if !self.may_hang {
            return Ok(None);
        }
        let socket = folder.join(SERVER);
        let _ = std::fs::remove_file(&socket);
        let argv = [
            "qemu-nbd".to_owned(),
            "--persistent".to_owned(),
            "--format=qcow2".to_owned(),
            format!("--socket={}", socket.display()),
            folder.join(COPY).display().to_string(),
        ];
        let server = Process::spawn("qemu-nbd", &argv, &folder.join("nbd.log"))?;
        // It tells nobody that it is ready, but by its socket.
        let deadline = Instant::now() + SERVED_WITHIN;
        while !socket.exists() {
            if server.ended().is_some() || Instant::now() > deadline {
                bail!("qemu-nbd does not serve the stick: {}", server.last_words());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Some(server))
    }

    /// The block node named `stick`, for `-blockdev`.
    pub(crate) fn blockdev(&self, folder: &Path) -> Value {
        let copy = json!({
            "driver": "qcow2", "discard": "unmap",
            "file": { "driver": "file", "filename": folder.join(COPY) },
        });
        let mut node = if self.may_hang {
            let server = json!({ "type": "unix", "path": folder.join(SERVER) });
            json!({ "driver": "raw", "file": { "driver": "nbd", "server": server } })
        } else if self.log_writes {
            let log = json!({ "driver": "file", "filename": folder.join(LOG) });
            json!({ "driver": "blklogwrites", "file": copy, "log": log, "log-sector-size": 512 })
        } else {
            copy
        };
        if self.written_per_second.is_some() {
            node["read-only"] = json!(self.readonly);
            node = json!({ "driver": "throttle", "throttle-group": BRAKE, "file": node });
        }
        node["node-name"] = json!("stick");
        node["read-only"] = json!(self.readonly);
        node
    }

    /// What makes it slow, for `-object`.
    pub(crate) fn brake(&self) -> Option<String> {
        let bytes = self.written_per_second?;
        Some(format!("throttle-group,id={BRAKE},x-bps-write={bytes}"))
    }

    /// The writes since the machine was switched on.
    pub(crate) fn log(&self, folder: &Path) -> Result<WriteLog> {
        ensure!(self.log_writes, "this stick does not log its writes");
        let log = WriteLog::open(&folder.join(LOG))?;
        Ok(match self.size_mib {
            Some(size_mib) => log.of_stick(size_mib << 20),
            None => log,
        })
    }

    /// Writes the copy, with all that the machine changed, to a raw image.
    pub(crate) fn save(&self, folder: &Path, image: &Path) -> Result<()> {
        let argv = ["qemu-img", "convert", "-q", "-f", "qcow2", "-O", "raw"];
        let mut argv: Vec<OsString> = argv.iter().map(Into::into).collect();
        argv.extend([folder.join(COPY).into_os_string(), image.as_os_str().to_owned()]);
        run(&argv).map(drop)
    }

    /// An empty log for QEMU, which does not create it.
    pub(crate) fn begin_log(&self, folder: &Path) -> Result<()> {
        if self.log_writes {
            std::fs::File::create(folder.join(LOG)).context("create the log of writes")?;
        }
        Ok(())
    }
}

const COPY: &str = "stick.qcow2";
const LOG: &str = "writes.log";
const SERVER: &str = "nbd";
const BRAKE: &str = "brake";

/// qemu-nbd opens one file.
const SERVED_WITHIN: Duration = Duration::from_secs(10);
