// SPDX-License-Identifier: Apache-2.0
//! The end: everything below `/var` and `/state` is unmounted, deepest first, each by a child with
//! a deadline; what is still in use is at least made read-only. It goes on after each failure.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use kubermesh_node::channel::Wrong;
use rustix::fs::OFlags;

use crate::child::Run;
use crate::error::in_one_line;
use crate::mount::{Mounted, mounts};
use crate::place::Place;
use crate::say::say;
use crate::uevents::later;

/// Unmounts all that lies on STATE and DATA; what could not be, or is gone, in words.
#[must_use]
pub fn unmount_all(place: &Place) -> Vec<Wrong> {
    let (var, state) = (place.var.to_string_lossy(), place.state.to_string_lossy());
    let mounts = mounts();
    let ours = in_order(&mounts, &[&var, &state]);
    let mut wrong: Vec<Wrong> = ours.iter().filter_map(|mounted| unmount(place, mounted)).collect();
    let devices: BTreeSet<_> =
        ours.iter().map(|mounted| (mounted.source.as_str(), mounted.number.as_str())).collect();
    let deadline = later(Instant::now(), RELEASE_WITHIN);
    let numbers = place.sysfs.join("dev/block");
    wrong.extend(devices.into_iter().filter_map(|(device, number)| {
        is_let_go(Path::new(device), &numbers.join(number), deadline)
    }));
    wrong
}

/// A file system lives on after its last umount here while another mount namespace has it, a
/// container's. The kernel gives the device to nobody else for so long (open(2), O_EXCL). `number` is its folder in sysfs.
fn is_let_go(device: &Path, number: &Path, deadline: Instant) -> Option<Wrong> {
    let exclusive = i32::try_from(OFlags::EXCL.bits()).unwrap_or(0);
    loop {
        match File::options().read(true).custom_flags(exclusive).open(device) {
            Err(refusal) if refusal.kind() == ErrorKind::ResourceBusy => {}
            // Its umount succeeds all the same. A pod's may have a name in the pod's /dev alone.
            Err(refusal) if refusal.kind() == ErrorKind::NotFound && device.starts_with("/dev") => {
                let is_gone = !number.exists();
                return is_gone
                    .then(|| told(device, "is gone, and with it what was not written yet"));
            }
            // It is free, or no block device: an overlay has none.
            Ok(_) | Err(_) => return None,
        }
        if Instant::now() >= deadline {
            return Some(told(device, "something still uses it after its umount"));
        }
        // Nobody tells when the last mount of another namespace goes; its processes were killed a
        // moment ago.
        std::thread::sleep(LOOK_AGAIN);
    }
}

fn told(device: &Path, sentence: &str) -> Wrong {
    say(&format!("{}: {sentence}", device.display()));
    Wrong { subject: device.display().to_string(), sentence: sentence.to_owned() }
}

/// Killed processes are gone in milliseconds; writing back what they left takes a slow stick seconds.
const RELEASE_WITHIN: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The last mount first: it may lie on an earlier one. A container's root is an overlay elsewhere
/// whose layers lie on DATA.
fn in_order<'a>(mounts: &'a [Mounted], roots: &[&str]) -> Vec<&'a Mounted> {
    let is_below = |point: &str, root: &str| {
        point.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let is_ours = |mounted: &&Mounted| {
        let lies_below = roots.iter().any(|root| is_below(&mounted.point, root));
        let leans_on =
            roots.iter().any(|root| mounted.options.contains(&format!("upperdir={root}/")));
        // A root that is in memory has nothing to write back.
        let is_in_memory = mounted.kind == "tmpfs" && roots.contains(&mounted.point.as_str());
        (lies_below || leans_on) && !is_in_memory
    };
    mounts.iter().rev().filter(is_ours).collect()
}

fn unmount(place: &Place, mounted: &Mounted) -> Option<Wrong> {
    let point = mounted.point.as_str();
    let device = std::path::Path::new(&mounted.source).file_name();
    let counters = device.map(|name| place.sysfs.join("class/block").join(name).join("stat"));
    let doing = format!("unmounting {point}");
    say(&doing);
    let run = |program, arguments: &[&str]| {
        let stalls_after_seconds = STALL_SECONDS;
        let counters = counters.as_deref().filter(|path| path.exists());
        // How long the way down may take is for PID 1 to say.
        let longest_seconds = u64::MAX;
        let doing = &doing;
        Run { program, arguments, doing, counters, stalls_after_seconds, longest_seconds }
            .to_success()
    };
    let refusal = run("/usr/bin/umount", &["--", point]).err()?;
    let second = run("/usr/bin/mount", &["-o", "remount,ro", point]);
    let comfort =
        if second.is_ok() { "it is read-only now" } else { "nor can it be made read-only" };
    let sentence = format!("{}; {comfort}", in_one_line(&refusal));
    say(&format!("{point}: {sentence}"));
    Some(Wrong { subject: point.to_owned(), sentence })
}

/// Writing back may take its time on a stick, and its counters move meanwhile; a dead one must not
/// hold up the power key, nor the mounts that still answer.
const STALL_SECONDS: u64 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_gone_is_told_and_an_overlay_has_none_to_be_gone() {
        let let_go =
            |device, number| is_let_go(Path::new(device), Path::new(number), Instant::now());
        let gone = let_go("/dev/pulled1", "/sys/dev/block/8:200");
        let sentence = "is gone, and with it what was not written yet".to_owned();
        assert_eq!(gone, Some(Wrong { subject: "/dev/pulled1".into(), sentence }));
        // It has another name here, or none: it is there.
        assert_eq!(let_go("/dev/mapper/elsewhere", "/sys/dev"), None);
        assert_eq!(let_go("overlay", "/sys/dev/block/0:200"), None);
    }

    #[test]
    fn the_deepest_comes_first_and_what_is_not_on_the_stick_stays() {
        let mount = |point: &str, options: &str| Mounted {
            number: "8:1".into(),
            point: point.into(),
            kind: if point == "/state" { "tmpfs" } else { "ext4" }.into(),
            source: String::new(),
            options: options.into(),
        };
        let mounts = [
            mount("/", "rw"),
            mount("/var", "rw"),
            mount("/variety", "rw"),
            mount("/run/rootfs", "rw,upperdir=/var/lib/x,workdir=/var/lib/w"),
            mount("/var/lib/kubelet/pods/1", "rw"),
            mount("/state", "rw"),
        ];
        let order = in_order(&mounts, &["/var", "/state"]);
        let points: Vec<_> = order.iter().map(|mounted| mounted.point.as_str()).collect();
        assert_eq!(points, ["/var/lib/kubelet/pods/1", "/run/rootfs", "/var"]);
    }
}
