// SPDX-License-Identifier: Apache-2.0
//! What this machine says of itself, and whether two such descriptions are of one machine.
//!
//! Serial numbers come from the firmware (SMBIOS), permanent MAC addresses from the ports that are
//! built in. Disks are not asked: the stick moves. Nor are ports on USB, unless there is nothing
//! else: they move too.

use std::path::{Path, PathBuf};
use std::time::Instant;

use kubermesh_node::identity::Identity;

use crate::place::Place;
use crate::say::say;
use crate::uevents::{Uevents, later};

/// The names of a machine's parts: `serial …`, `mac …`, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hardware {
    names: Vec<String>,
}

impl Hardware {
    /// From names as [`Self::names`] gives them.
    pub(crate) fn from_names(mut names: Vec<String>) -> Self {
        names.sort();
        names.dedup();
        Self { names }
    }

    /// What is here now.
    pub(crate) fn read(place: &Place) -> Self {
        let mut names = serials(&place.sysfs);
        let (fixed, pluggable) = macs(&place.sysfs);
        let is_nameless = names.is_empty() && fixed.is_empty();
        names.extend(if is_nameless { pluggable } else { fixed });
        Self::from_names(names)
    }

    /// What is here once each built-in port has a driver, or `is_enough`, or nothing more comes.
    pub(crate) fn settled(place: &Place, is_enough: impl Fn(&Self) -> bool) -> Self {
        let Ok(news) = Uevents::listen() else { return Self::read(place) };
        let start = Instant::now();
        let last = later(start, place.port_patience.saturating_mul(3));
        let mut until = later(start, place.port_patience);
        loop {
            let found = Self::read(place);
            let Some(late) = port_without_driver(&place.sysfs) else { return found };
            if is_enough(&found) || !news.wait("net", until.min(last)) {
                return found;
            }
            say(&format!("waiting for the driver of the port {late}"));
            until = later(Instant::now(), place.port_patience);
        }
    }

    /// The names, sorted.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// One number for all of them.
    pub(crate) fn hash(&self) -> Identity {
        Identity::of_hardware(&self.names)
    }

    /// Whether `now` is the machine that `self` was, with a part or two changed.
    ///
    /// Serial numbers alone do not say so: cheap boards share them. Ports alone do, unless serial
    /// numbers contradict. With nothing on either side nothing can be told apart.
    pub(crate) fn is_same_machine(&self, now: &Self) -> bool {
        let (serials, macs) = (self.of("serial"), self.of("mac"));
        let (serials_now, macs_now) = (now.of("serial"), now.of("mac"));
        let shared = |one: &[&String], other: &[&String]| {
            one.iter().filter(|name| other.contains(name)).count()
        };
        let is_serial_known = !serials.is_empty() && !serials_now.is_empty();
        let is_serial_same = shared(&serials, &serials_now) > 0;
        let macs_kept = shared(&macs, &macs_now);
        if is_serial_known && !is_serial_same {
            return false;
        }
        if macs.is_empty() || macs_now.is_empty() {
            return is_serial_same || self.names == now.names;
        }
        macs_kept > 0 && (is_serial_same || macs_kept.saturating_mul(2) >= macs.len())
    }

    fn of(&self, kind: &str) -> Vec<&String> {
        self.names.iter().filter(|name| name.split(' ').next() == Some(kind)).collect()
    }
}

fn serials(sysfs: &Path) -> Vec<String> {
    let files = ["product_serial", "board_serial"];
    let read = |file: &str| std::fs::read_to_string(sysfs.join("class/dmi/id").join(file)).ok();
    let plain = |text: String| -> String {
        let is_plain = |c: &char| c.is_ascii_alphanumeric() || "-_./: ".contains(*c);
        text.trim().chars().filter(is_plain).take(64).collect()
    };
    let serials = files.into_iter().filter_map(read).map(plain);
    serials.filter(|text| is_serial(text)).map(|text| format!("serial {text}")).collect()
}

/// Boards whose maker wrote nothing say so in many ways.
fn is_serial(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let is_filled = !PLACEHOLDERS.iter().any(|placeholder| text.contains(placeholder));
    let mut letters: Vec<char> = text.chars().filter(char::is_ascii_alphanumeric).collect();
    let is_long = letters.len() >= 4;
    letters.sort_unstable();
    letters.dedup();
    is_filled && is_long && letters.len() > 1
}

/// Permanent addresses of the Ethernet ports: built in, and on USB.
fn macs(sysfs: &Path) -> (Vec<String>, Vec<String>) {
    let ports = std::fs::read_dir(sysfs.join("class/net")).into_iter().flatten().flatten();
    let (mut fixed, mut pluggable) = (Vec::new(), Vec::new());
    for port in ports {
        let path = port.path();
        let word = |file: &str| {
            std::fs::read_to_string(path.join(file)).unwrap_or_default().trim().to_owned()
        };
        // ARPHRD_ETHER, and an address that the hardware gave (NET_ADDR_PERM).
        let is_port = path.join("device").exists() && !path.join("wireless").exists();
        if !is_port || word("type") != "1" || word("addr_assign_type") != "0" {
            continue;
        }
        let device = std::fs::canonicalize(path.join("device")).unwrap_or_default();
        let is_on_usb =
            device.components().any(|part| part.as_os_str().to_string_lossy().starts_with("usb"));
        let into = if is_on_usb { &mut pluggable } else { &mut fixed };
        into.push(format!("mac {}", word("address")));
    }
    (fixed, pluggable)
}

/// The first Ethernet controller on PCI that no network interface belongs to.
fn port_without_driver(sysfs: &Path) -> Option<String> {
    let devices = std::fs::read_dir(sysfs.join("bus/pci/devices")).ok()?;
    let mut paths: Vec<PathBuf> = devices.flatten().map(|entry| entry.path()).collect();
    paths.sort_unstable();
    let is_late = |path: &&PathBuf| {
        let class = std::fs::read_to_string(path.join("class")).unwrap_or_default();
        // On virtio the interface belongs to the virtio device below the PCI one.
        let below = std::fs::read_dir(path).into_iter().flatten().flatten();
        let has_port = path.join("net").exists()
            || below.into_iter().any(|entry| entry.path().join("net").exists());
        class.trim().starts_with(ETHERNET_CLASS) && !has_port
    };
    let late = paths.iter().find(is_late)?;
    Some(late.file_name()?.to_string_lossy().into_owned())
}

const ETHERNET_CLASS: &str = "0x0200";
const PLACEHOLDERS: [&str; 9] = [
    "default string",
    "to be filled",
    "o.e.m",
    "system serial",
    "serial number",
    "not specified",
    "not applicable",
    "none",
    "123456789",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(names: &[&str]) -> Hardware {
        Hardware::from_names(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn one_port_of_two_may_be_changed_or_be_late() {
        let before = machine(&["serial G6XY1234", "mac a", "mac b"]);
        assert!(before.is_same_machine(&machine(&["serial G6XY1234", "mac b", "mac c"])));
        assert!(before.is_same_machine(&machine(&["serial G6XY1234", "mac a"])));
        assert!(before.is_same_machine(&machine(&["serial G6XY1234"])));
        let nameless = machine(&["mac a", "mac b"]);
        assert!(nameless.is_same_machine(&machine(&["mac b", "mac c"])));
        assert!(!nameless.is_same_machine(&machine(&["mac c", "mac d"])));
    }

    #[test]
    fn the_same_serial_number_with_other_ports_is_another_machine() {
        let before = machine(&["serial BATCH-0001", "mac a", "mac b"]);
        assert!(!before.is_same_machine(&machine(&["serial BATCH-0001", "mac c", "mac d"])));
        assert!(!before.is_same_machine(&machine(&["serial OTHER-0002", "mac a", "mac b"])));
    }

    #[test]
    fn what_makers_write_for_nothing_is_no_serial_number() {
        for text in
            ["Default string", "To be filled by O.E.M.", "None", "0", "", "00000000", "0123456789"]
        {
            assert!(!is_serial(text), "{text}");
        }
        assert!(is_serial("G6XY1234"));
    }
}
