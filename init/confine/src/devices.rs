// SPDX-License-Identifier: Apache-2.0
//! Which devices a service may open: names become numbers, numbers a program on its cgroup.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kubermesh_node::service::privileges::Device;
use kubermesh_sys::device_access::{self, Characters};
use rustix::io::Errno;

/// Why its devices could not be bounded.
#[derive(Debug, thiserror::Error)]
pub enum DevicesError {
    /// Which cgroup, or which numbers.
    #[error("read {}", .path.display())]
    Read {
        /// Where it stands.
        path: PathBuf,
        /// Its reason.
        source: std::io::Error,
    },
    /// The kernel refused.
    #[error("bound the devices of {}", .cgroup.display())]
    Bound {
        /// Its cgroup.
        cgroup: PathBuf,
        /// Its reason.
        source: Errno,
    },
}

/// From now on the processes of our cgroup open these devices, those of every program, and no others.
pub(crate) fn allow_only(devices: &[Device]) -> Result<(), DevicesError> {
    let cgroup = own_cgroup()?;
    let read = |source| DevicesError::Read { path: cgroup.clone(), source };
    let folder = File::open(&cgroup).map_err(read)?;
    let mut allowed = EVERY_PROGRAMS.to_vec();
    for device in devices {
        allowed.extend(numbers(*device)?);
    }
    let disks = devices.contains(&Device::Disks);
    device_access::allow_only(&folder, &allowed, disks)
        .map_err(|source| DevicesError::Bound { cgroup, source })
}

/// `0::/system/net`, cgroups(7).
fn own_cgroup() -> Result<PathBuf, DevicesError> {
    let path = Path::new("/proc/self/cgroup");
    let text = read(path)?;
    let own = text.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    Ok(Path::new("/sys/fs/cgroup").join(own))
}

fn numbers(device: Device) -> Result<Option<Characters>, DevicesError> {
    Ok(match device {
        Device::KernelLog => Some(one(1, 11)),
        Device::Screen => Some(one(4, 1)),
        Device::Uarts => Some(Characters { major: 4, first: 64, last: 255 }),
        Device::SerialAdapters => Some(all(188)),
        Device::Modems => Some(all(166)),
        Device::Hid => hid()?.map(all),
        // No character devices.
        Device::Disks => None,
    })
}

/// Its number is free for the kernel to choose, once the module is there: it is asked for here,
/// for a light may be plugged in long after this. A kernel that has none will have no such device.
fn hid() -> Result<Option<u32>, DevicesError> {
    let path = Path::new("/proc/devices");
    if let Some(number) = number_of("hidraw", &read(path)?) {
        return Ok(Some(number));
    }
    let mut modprobe = Command::new("/usr/sbin/modprobe");
    // What it says is read below, in the kernel's own words.
    let _ = modprobe.args(["--quiet", "--", "hid"]).stdin(Stdio::null()).status();
    let number = number_of("hidraw", &read(path)?);
    if number.is_none() {
        eprintln!("this kernel has no driver hidraw: no light will be seen");
    }
    Ok(number)
}

/// Lines like `240 hidraw` below `Character devices:`.
fn number_of(driver: &str, devices: &str) -> Option<u32> {
    let characters = devices.lines().take_while(|line| *line != "Block devices:");
    let mut rows = characters.filter_map(|line| line.trim().split_once(' '));
    rows.find(|(_, name)| *name == driver)?.0.parse().ok()
}

fn read(path: &Path) -> Result<String, DevicesError> {
    std::fs::read_to_string(path)
        .map_err(|source| DevicesError::Read { path: path.to_owned(), source })
}

const fn one(major: u32, minor: u32) -> Characters {
    Characters { major, first: minor, last: minor }
}

const fn all(major: u32) -> Characters {
    Characters { major, first: 0, last: LAST_MINOR }
}

/// MINORMASK, linux/kdev_t.h.
const LAST_MINOR: u32 = (1 << 20) - 1;

/// null, zero, full, random, urandom: no secret and no power in any of them.
const EVERY_PROGRAMS: [Characters; 5] = [one(1, 3), one(1, 5), one(1, 7), one(1, 8), one(1, 9)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drivers_number_is_that_of_its_character_devices() {
        let text = "Character devices:\n  1 mem\n  4 /dev/vc/0\n  4 ttyS\n240 hidraw\n\nBlock devices:\n  8 sd\n";
        assert_eq!(number_of("hidraw", text), Some(240));
        assert_eq!(number_of("sd", text), None);
        assert_eq!(number_of("hid", text), None);
    }
}
