// SPDX-License-Identifier: Apache-2.0
//! One Ethernet port of a machine, and the two ways in which what hangs on it changes: frames and carrier.
//!
//! Frames travel as datagrams between two unix sockets (`-netdev dgram`). QEMU fixes both paths when it starts, so
//! the far one is a symbolic link: sendto(2) follows it anew for each frame, and a cable is two links. A machine
//! that is off has no socket, and what is sent to it is lost, as on a wire.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use serde_json::json;

use crate::qmp::Qmp;

/// The monitor of a machine that may be off.
pub(crate) type Monitor = Arc<Mutex<Option<Arc<Qmp>>>>;

/// A machine's Ethernet port, as a cable sees it. Clones are the same port.
#[derive(Clone)]
pub struct Port(Arc<Wire>);

struct Wire {
    name: String,
    device: String,
    socket: PathBuf,
    far: PathBuf,
    carrier: Mutex<bool>,
    monitor: Monitor,
}

impl Port {
    pub(crate) fn new(machine: &str, folder: &Path, number: usize, monitor: Monitor) -> Self {
        Self(Arc::new(Wire {
            name: format!("port {number} of {machine}"),
            device: device(number),
            socket: folder.join(format!("port{number}")),
            far: folder.join(format!("far{number}")),
            carrier: Mutex::new(false),
            monitor,
        }))
    }

    /// The socket on which this end listens.
    pub(crate) fn socket(&self) -> &Path {
        &self.0.socket
    }

    /// The path to which QEMU sends.
    pub(crate) fn far(&self) -> &Path {
        &self.0.far
    }

    /// Frames sent here arrive at `socket`; without one they are lost, and the port still has carrier.
    pub(crate) fn send_to(&self, socket: Option<&Path>) -> Result<()> {
        match fs::remove_file(&self.0.far) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).context("cut a wire");
            }
            _ => {}
        }
        let Some(socket) = socket else { return Ok(()) };
        std::os::unix::fs::symlink(socket, &self.0.far)
            .with_context(|| format!("wire {}", self.0.name))
    }

    /// Raises or drops the carrier that the guest sees. A machine that is off sees it when it starts.
    pub(crate) fn set_carrier(&self, up: bool) -> Result<()> {
        *self.0.carrier.lock().unwrap_or_else(PoisonError::into_inner) = up;
        self.show_carrier()
    }

    /// Tells QEMU again, after a start or when a port was plugged back in.
    pub(crate) fn show_carrier(&self) -> Result<()> {
        let monitor = self.0.monitor.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(qmp) = monitor else { return Ok(()) };
        let up = *self.0.carrier.lock().unwrap_or_else(PoisonError::into_inner);
        match qmp.execute("set_link", &json!({ "name": self.0.device, "up": up })) {
            // A port that is unplugged has no carrier to show.
            Err(error) if error.to_string().contains("not found") => Ok(()),
            Err(error) => Err(error).with_context(|| format!("carrier of {}", self.0.name)),
            Ok(_) => Ok(()),
        }
    }

    /// For messages.
    pub fn name(&self) -> &str {
        &self.0.name
    }
}

/// QEMU's id of a port's network card.
pub(crate) fn device(number: usize) -> String {
    format!("nic{number}")
}
