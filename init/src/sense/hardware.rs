// SPDX-License-Identifier: Apache-2.0
//! Devices: the cold plug, the kernel's events, the power key.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use kubermesh_sys::power_key::PowerKey;
use rustix::io::Errno;

use crate::held::{Held, Source};

/// Events taken in one turn of the loop.
const EVENTS: usize = 256;

/// What the kernel said.
#[derive(Default)]
pub(crate) struct Changes {
    /// Aliases of new devices.
    pub(crate) aliases: Vec<String>,
    /// An input device came: it may have a power key.
    pub(crate) inputs: Vec<String>,
    /// A watchdog came.
    pub(crate) has_watchdog: bool,
    /// Events were lost: look at everything anew.
    pub(crate) lost: bool,
}

/// What the kernel says now.
pub(crate) fn receive(held: &Held) -> Changes {
    let mut changes = Changes::default();
    let Some(uevents) = &held.uevents else { return changes };
    for _ in 0..EVENTS {
        match uevents.receive() {
            Ok(Some(event)) if event.get("ACTION") == Some("add") => {
                changes.aliases.extend(event.get("MODALIAS").map(str::to_owned));
                let name = event.get("DEVNAME").unwrap_or_default();
                if name.starts_with("input/event") {
                    changes.inputs.push(name.to_owned());
                }
                changes.has_watchdog |= name == "watchdog";
            }
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(refusal) => {
                changes.lost |= refusal == Errno::NOBUFS;
                break;
            }
        }
    }
    changes
}

/// All that is already there: /sys/bus/*/devices/*/modalias, and the input devices.
pub(crate) fn all() -> Changes {
    let mut changes =
        Changes { has_watchdog: Path::new("/dev/watchdog").exists(), ..Changes::default() };
    for bus in names("/sys/bus") {
        let devices = format!("/sys/bus/{bus}/devices");
        for device in names(&devices) {
            let alias = std::fs::read_to_string(format!("{devices}/{device}/modalias"));
            changes.aliases.extend(
                alias.ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()),
            );
        }
    }
    let inputs = names("/dev/input").into_iter().filter(|name| name.starts_with("event"));
    changes.inputs.extend(inputs.map(|name| format!("input/{name}")));
    changes
}

fn names(folder: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return vec![] };
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

/// Opens an input device where it has a power key.
pub(crate) fn open_key(name: &str, held: &mut Held) {
    let flags =
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::CLOEXEC;
    let opened: Option<OwnedFd> =
        rustix::fs::open(format!("/dev/{name}"), flags, rustix::fs::Mode::empty()).ok();
    let Some(key) = opened.and_then(PowerKey::over) else { return };
    let number = u32::try_from(held.keys.len()).unwrap_or(u32::MAX);
    if held.hear(&key, Source::Key(number), false).is_ok() {
        held.keys.push(key);
    }
}

/// Whether a power key was pressed. One that is gone is heard no more.
pub(crate) fn was_pressed(number: u32, held: &Held) -> bool {
    let Some(key) = usize::try_from(number).ok().and_then(|at| held.keys.get(at)) else {
        return false;
    };
    key.was_pressed().unwrap_or_else(|_| {
        let _ = rustix::event::epoll::delete(&held.epoll, key);
        false
    })
}

/// The services' files of the image: `(name, text)` each; one that cannot be read is left out.
pub(crate) fn service_files(folder: &Path) -> Vec<(String, String)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return vec![] };
    let mut files: Vec<(String, String)> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name =
                entry.file_name().into_string().ok().filter(|name| name.ends_with(".toml"))?;
            Some((name, std::io::read_to_string(File::open(entry.path()).ok()?).ok()?))
        })
        .collect();
    files.sort();
    files
}
