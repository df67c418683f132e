// SPDX-License-Identifier: Apache-2.0
//! Files of /proc, /sys, /dev and the image, made of what the kernel knows.

use super::Machine;
use crate::Errno;
use crate::process::Signal;

pub(super) const CGROUPS: &str = "/sys/fs/cgroup/";
const SERVICES: &str = "/usr/lib/kubermesh/services/";
const DEVICES: &str = "/sys/bus/usb/devices/";

impl Machine {
    pub(crate) fn read_file(&self, path: &str) -> Option<String> {
        if let Some(name) = path.strip_prefix(SERVICES) {
            let found = self.services.iter().find(|(file, _)| file == name);
            return found.map(|(_, text)| text.clone());
        }
        if let Some(device) = path.strip_prefix(DEVICES) {
            return device.strip_suffix("/modalias").map(str::to_owned);
        }
        if let Some(rest) = path.strip_prefix(CGROUPS) {
            let cgroup = rest.strip_suffix("/cgroup.events")?;
            let populated = u8::from(self.is_populated(cgroup));
            let is_there = self.cgroups.contains_key(cgroup);
            return is_there.then(|| format!("populated {populated}\nfrozen 0\n"));
        }
        let rest = path.strip_prefix("/proc/")?;
        if rest == "cmdline" {
            let bears = if self.bears_all { "kubermesh.crashes=4096" } else { "quiet" };
            return Some(bears.to_owned());
        }
        if rest == "self/cgroup" {
            return Some("0::/init\n".to_owned());
        }
        let pid = rest.strip_suffix("/cgroup")?.parse().ok()?;
        self.processes.get(&pid).map(|process| format!("0::/{}\n", process.cgroup))
    }

    pub(crate) fn write_file(&mut self, path: &str, _text: &str) -> Result<(), Errno> {
        let Some(rest) = path.strip_prefix(CGROUPS) else { return Ok(()) };
        let Some((cgroup, file)) = rest.rsplit_once('/') else { return Ok(()) };
        if !self.cgroups.contains_key(cgroup) {
            return Err(Errno::NOENT);
        }
        if file == "cgroup.kill" {
            self.told(|| format!("< kill all in {cgroup}"));
            let below = format!("{cgroup}/");
            let within = |of: &str| of == cgroup || of.starts_with(&below);
            for (_, was_killed) in self.cgroups.iter_mut().filter(|(name, _)| within(name)) {
                *was_killed = true;
            }
            let all: Vec<u32> = self
                .processes
                .iter()
                .filter(|(_, process)| within(&process.cgroup))
                .map(|(pid, _)| *pid)
                .collect();
            for pid in all {
                let _ = self.signal(pid, Signal::KILL);
            }
        }
        Ok(())
    }

    fn is_populated(&self, cgroup: &str) -> bool {
        let below = format!("{cgroup}/");
        let within = |of: &str| of == cgroup || of.starts_with(&below);
        self.processes.values().any(|process| process.ended.is_none() && within(&process.cgroup))
    }

    /// Whether it was not there before.
    pub(crate) fn make_folder(&mut self, path: &str) -> bool {
        let Some(cgroup) = path.strip_prefix(CGROUPS) else { return true };
        let is_new = !self.cgroups.contains_key(cgroup);
        self.cgroups.entry(cgroup.to_owned()).or_insert(false);
        is_new
    }

    pub(crate) fn remove_folder(&mut self, path: &str) -> Result<(), Errno> {
        let cgroup = path.strip_prefix(CGROUPS).ok_or(Errno::PERM)?;
        if self.is_populated(cgroup) {
            return Err(Errno::BUSY);
        }
        self.cgroups.remove(cgroup).map(drop).ok_or(Errno::NOENT)
    }

    pub(crate) fn is_file(&self, path: &str) -> bool {
        let pid = path.strip_prefix("/proc/").and_then(|rest| rest.parse().ok());
        match pid {
            Some(pid) => self.processes.contains_key(&pid),
            None => path == "/dev/watchdog",
        }
    }

    pub(crate) fn names_in(&self, folder: &str) -> Vec<String> {
        match folder {
            "/usr/lib/kubermesh/services" => {
                self.services.iter().map(|(name, _)| name.clone()).collect()
            }
            "/sys/bus" => vec!["usb".to_owned()],
            "/sys/bus/usb/devices" => self.aliases.iter().cloned().collect(),
            "/dev/input" => self.inputs.keys().cloned().collect(),
            _ => vec![],
        }
    }
}
