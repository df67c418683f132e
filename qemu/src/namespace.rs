// SPDX-License-Identifier: Apache-2.0
//! A network namespace on this host as the machine at the other end of a cable: for a stock BIRD or FRR. Needs root.
//!
//! ```text
//!  machine's port ◄─ datagrams, pump ─► relay: a QEMU without a machine ◄─ tap ─► the namespace
//! ```
//! The relay is QEMU's own hub (`-M none`), so a tap needs no ioctl of ours. Carrier is the tap's: `ip link set carrier`.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::folder::{Folder, sweep_namespace};
use crate::process::{Process, run};
use crate::pump::Pump;
use crate::wire::Port;

/// A namespace with `lo` up and a tap for each port.
pub struct Namespace {
    name: String,
    folder: Folder,
    ports: Vec<Tap>,
}

struct Tap {
    interface: String,
    // The relay sends to the pump, so it goes first.
    _relay: Process,
    _pump: Pump,
    machine: Port,
}

impl Namespace {
    /// Makes an empty one.
    pub fn new() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("km{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = Folder::new("ns")?;
        sweep_namespace(&name)?;
        run(&["ip", "netns", "add", &name])
            .context("make a network namespace (this needs root)")?;
        let namespace = Self { name, folder, ports: Vec::new() };
        namespace.run(&["ip", "link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// Its name, as ip-netns(8) knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Joins a machine's port with a new interface here (`port0`, `port1`, ...) and gives its name.
    pub fn plug(&mut self, machine: Port) -> Result<String> {
        let number = self.ports.len();
        let interface = format!("port{number}");
        self.run(&["ip", "tuntap", "add", "dev", &interface, "mode", "tap"])?;
        let socket = self.folder.file(&interface);
        let pump = Pump::start(self.folder.file(&format!("to{number}")), machine.socket())?;
        let relay = self.start_relay(number, &interface, &socket, &pump)?;
        machine.send_to(Some(&socket))?;
        self.run(&["ip", "link", "set", &interface, "up"])?;
        machine.set_carrier(true)?;
        self.ports.push(Tap { interface: interface.clone(), _relay: relay, _pump: pump, machine });
        Ok(interface)
    }

    /// Pulls (`false`) or puts back (`true`) the cable on an interface: both ends see it.
    pub fn set_carrier(&self, interface: &str, up: bool) -> Result<()> {
        let Some(tap) = self.ports.iter().find(|tap| tap.interface == interface) else {
            bail!("{} has no {interface}", self.name);
        };
        let word = if up { "on" } else { "off" };
        self.run(&["ip", "link", "set", interface, "carrier", word])?;
        tap.machine.set_carrier(up)
    }

    /// Runs a program here to its end and gives its output.
    pub fn run(&self, argv: &[&str]) -> Result<String> {
        run(&self.inside(argv)).with_context(|| format!("in namespace {}", self.name))
    }

    /// Starts a program here; what it says is in the file `log` of [`Namespace::file`].
    pub fn start(&self, log: &str, argv: &[&str]) -> Result<Process> {
        Process::spawn(log, &self.inside(argv), &self.folder.file(log))
    }

    /// A path in its private folder, for configurations, sockets and logs.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.file(name)
    }

    fn inside(&self, argv: &[&str]) -> Vec<String> {
        let prefix = ["ip", "netns", "exec", &self.name];
        prefix.iter().chain(argv).map(|&word| word.to_owned()).collect()
    }

    fn start_relay(
        &self,
        number: usize,
        interface: &str,
        socket: &std::path::Path,
        pump: &Pump,
    ) -> Result<Process> {
        let (near, far) = (socket.display(), pump.socket().display());
        let tap = format!("tap,id=tap,ifname={interface},script=no,downscript=no,vnet_hdr=off");
        let wire = format!(
            "dgram,id=wire,local.type=unix,local.path={near},remote.type=unix,remote.path={far}"
        );
        let line = [
            "qemu-system-x86_64",
            "-M",
            "none",
            "-nodefaults",
            "-display",
            "none",
            "-netdev",
            &tap,
            "-netdev",
        ];
        let mut line = line.to_vec();
        line.extend([&wire, "-netdev", "hubport,id=a,hubid=0,netdev=tap"]);
        line.extend(["-netdev", "hubport,id=b,hubid=0,netdev=wire"]);
        let relay = self.start(&format!("relay{number}"), &line)?;
        let deadline = Instant::now() + RELAY_WITHIN;
        while fs::symlink_metadata(socket).is_err() {
            if relay.ended().is_some() || Instant::now() > deadline {
                bail!("the relay of {interface} does not start: {}", relay.last_words());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(relay)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.ports.clear();
        let _ = run(&["ip", "netns", "del", &self.name]);
    }
}

/// QEMU without a machine is up in a fraction of a second.
const RELAY_WITHIN: Duration = Duration::from_secs(10);
