// SPDX-License-Identifier: Apache-2.0
//! What a machine shall be made of. [`Recipe::boot`] makes it and switches it on.

use std::path::PathBuf;

use anyhow::Result;

use super::Machine;
use crate::stick::Stick;

/// A machine to be made. The defaults are a node with one virtio port, a serial port and nothing to boot from.
#[derive(Clone, Debug)]
pub struct Recipe {
    pub(super) name: String,
    pub(super) memory_mib: u32,
    pub(super) cpus: u32,
    pub(super) boot: Option<Boot>,
    pub(super) nics: Vec<Nic>,
    pub(super) light_sockets: usize,
    pub(super) serial: SerialPort,
    pub(super) agent: bool,
    pub(super) watchdog: bool,
    pub(super) screen: bool,
    pub(super) cmdline: Vec<String>,
    pub(super) identity: u32,
    pub(super) accelerator: Option<Accelerator>,
    pub(super) extra: Vec<String>,
}

/// Where a machine finds its system.
#[derive(Clone, Debug)]
pub enum Boot {
    /// Firmware, then a USB stick.
    Stick(Stick),
    /// Firmware, then a UKI alone: a read-only disk that holds nothing else. It is QEMU's FAT disk: at most 500 MB.
    Uki(PathBuf),
    /// No firmware: a kernel, an initramfs and a command line. For throw-away guests.
    Kernel {
        /// A bzImage.
        kernel: PathBuf,
        /// A cpio archive, compressed or not.
        initramfs: PathBuf,
        /// The whole command line.
        cmdline: String,
    },
}

/// Who executes the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accelerator {
    /// QEMU itself. Works everywhere.
    Tcg,
    /// The processor. Never chosen by itself: a /dev/kvm that opens proves nothing on a nested host.
    Kvm,
}

/// A kind of network card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nic {
    /// Shows carrier loss on every QEMU.
    Virtio,
    /// QEMU 7.2 hides carrier loss on it.
    E1000e,
    /// QEMU 8.0 and later.
    Igb,
}

/// What hangs on the serial port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SerialPort {
    /// Us: every line is read and kept.
    Read,
    /// The same, as fast as a line at 9600 baud carries it: the guest waits for the port.
    Slow,
    /// A line with a terminal server that takes no byte: flow control holds the port for ever.
    Blocked,
    /// There is no port.
    Absent,
}

impl Recipe {
    /// A machine with this name. Machines with the same name have the same hardware identity.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            memory_mib: 2048,
            cpus: 1,
            boot: None,
            nics: vec![Nic::Virtio],
            light_sockets: 1,
            serial: SerialPort::Read,
            agent: true,
            watchdog: true,
            screen: false,
            cmdline: Vec::new(),
            identity: identity(name),
            accelerator: None,
            extra: Vec::new(),
        }
    }

    /// Memory in MiB; 2048 without this.
    #[must_use]
    pub fn memory_mib(mut self, memory_mib: u32) -> Self {
        self.memory_mib = memory_mib;
        self
    }

    /// Processors; one without this.
    #[must_use]
    pub fn cpus(mut self, cpus: u32) -> Self {
        self.cpus = cpus;
        self
    }

    /// Puts a stick in.
    #[must_use]
    pub fn stick(mut self, stick: Stick) -> Self {
        self.boot = Some(Boot::Stick(stick));
        self
    }

    /// Says where the system comes from.
    #[must_use]
    pub fn boot_from(mut self, boot: Boot) -> Self {
        self.boot = Some(boot);
        self
    }

    /// Its network cards, in the order of their slots. None is allowed.
    #[must_use]
    pub fn nics(mut self, nics: &[Nic]) -> Self {
        self.nics = nics.to_vec();
        self
    }

    /// How many USB sockets take a blink(1); one without this.
    #[must_use]
    pub fn light_sockets(mut self, count: usize) -> Self {
        self.light_sockets = count;
        self
    }

    /// What hangs on the serial port.
    #[must_use]
    pub fn serial(mut self, serial: SerialPort) -> Self {
        self.serial = serial;
        self
    }

    /// Whether it has the port of the test agent; it has without this.
    #[must_use]
    pub fn agent(mut self, agent: bool) -> Self {
        self.agent = agent;
        self
    }

    /// Whether it has an i6300esb watchdog; it has without this.
    #[must_use]
    pub fn watchdog(mut self, watchdog: bool) -> Self {
        self.watchdog = watchdog;
        self
    }

    /// Adds a graphics card.
    #[must_use]
    pub fn screen(mut self) -> Self {
        self.screen = true;
        self
    }

    /// Adds words to the command line of a UKI, by SMBIOS (systemd-stub 254 and later reads them).
    #[must_use]
    pub fn cmdline(mut self, words: &str) -> Self {
        self.cmdline.push(words.to_owned());
        self
    }

    /// Who executes its instructions; without this the environment's `ACCEL` says it (`tcg`, `kvm`), or it is QEMU.
    #[must_use]
    pub fn accelerator(mut self, accelerator: Accelerator) -> Self {
        self.accelerator = Some(accelerator);
        self
    }

    /// More arguments for QEMU.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.extra.push(argument.to_owned());
        self
    }

    /// Makes the machine and leaves it off.
    pub fn make(self) -> Result<Machine> {
        Machine::make(self)
    }

    /// Makes the machine and switches it on.
    pub fn boot(self) -> Result<Machine> {
        let machine = self.make()?;
        machine.power_on()?;
        Ok(machine)
    }
}

/// FNV-1a: the same name gives the same hardware on every run.
fn identity(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
