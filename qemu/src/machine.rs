// SPDX-License-Identifier: Apache-2.0
//! A machine on the desk: an emulated PC that can be switched on, robbed of its power and pulled apart.

mod arguments;
mod firmware;
mod life;
mod parts;
mod recipe;

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};

use crate::agent::Agent;
use crate::folder::Folder;
use crate::process::{Process, require};
use crate::qmp::Qmp;
use crate::serial::Serial;
use crate::wire::{Monitor, Port};

pub use recipe::{Accelerator, Boot, Nic, Recipe, SerialPort};

/// A machine. Dropped, it is gone with all its files. Every deed takes `&self`: threads may share it.
pub struct Machine {
    recipe: Recipe,
    folder: Folder,
    serial: Serial,
    agent: Agent,
    ports: Vec<Port>,
    monitor: Monitor,
    running: Mutex<Option<Running>>,
}

/// What lives from one power-on to the next power cut. The order is that of the end.
struct Running {
    qemu: Arc<Process>,
    stick_server: Option<Process>,
    /// Keeps the pipe behind a blocked serial port full.
    _blockage: Option<fs::File>,
}

impl Machine {
    fn make(recipe: Recipe) -> Result<Self> {
        require("qemu-system-x86_64", "qemu-system-x86")?;
        let folder = Folder::new("m")?;
        let monitor = Monitor::default();
        let ports = (0..recipe.nics.len())
            .map(|number| Port::new(&recipe.name, folder.path(), number, Arc::clone(&monitor)))
            .collect();
        let machine = Self {
            serial: Serial::new(&recipe.name),
            agent: Agent::new(&recipe.name),
            folder,
            ports,
            monitor,
            running: Mutex::new(None),
            recipe,
        };
        machine.lay_out_disk()?;
        Ok(machine)
    }

    fn lay_out_disk(&self) -> Result<()> {
        match &self.recipe.boot {
            Some(Boot::Stick(stick)) => stick.copy_into(self.folder.path()),
            Some(Boot::Uki(uki)) => {
                let place = self.folder.file("esp/EFI/BOOT");
                fs::create_dir_all(&place).context("make the folder of the UKI")?;
                let uki = uki.canonicalize().with_context(|| format!("open {}", uki.display()))?;
                fs::copy(&uki, place.join("BOOTX64.EFI"))
                    .with_context(|| format!("copy {}", uki.display()))?;
                Ok(())
            }
            Some(Boot::Kernel { .. }) | None => Ok(()),
        }
    }

    /// Its name, for messages.
    pub fn name(&self) -> &str {
        &self.recipe.name
    }

    /// Its serial port: one transcript over all its starts.
    pub fn serial(&self) -> &Serial {
        &self.serial
    }

    /// The test agent in the guest.
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// One of its Ethernet ports, for a [`crate::Cable`].
    pub fn port(&self, number: usize) -> Result<Port> {
        let count = self.ports.len();
        let port = self.ports.get(number).cloned();
        port.with_context(|| format!("{} has no port {number}, it has {count}", self.name()))
    }

    /// A USB socket for a blink(1): what [`crate::blink1::Blink1::plug`] takes.
    pub fn light_socket(&self, number: usize) -> std::path::PathBuf {
        self.folder.file(&arguments::light_socket(number))
    }

    /// The folder of its private files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn look(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn qmp(&self) -> Result<Arc<Qmp>> {
        let monitor = self.monitor.lock().unwrap_or_else(PoisonError::into_inner);
        monitor.clone().with_context(|| format!("{} is off", self.name()))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.power_cut();
    }
}
