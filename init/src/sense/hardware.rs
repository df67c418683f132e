// SPDX-License-Identifier: Apache-2.0
//! Devices: the cold plug, the kernel's events, the power key.

use std::path::Path;

use kubermesh_node::service::SpecError;
use kubermesh_sys::epoll::Tells;
use kubermesh_sys::power_key::PowerKey;
use kubermesh_sys::{Errno, files};

use crate::again::thrice;
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
    /// Names in /dev of all new devices that have one.
    pub(crate) nodes: Vec<String>,
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
                changes.nodes.extend(event.get("DEVNAME").map(str::to_owned));
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
        Changes { has_watchdog: files::exists(Path::new("/dev/watchdog")), ..Changes::default() };
    for bus in names("/sys/bus") {
        let devices = format!("/sys/bus/{bus}/devices");
        for device in names(&devices) {
            let path = format!("{devices}/{device}/modalias");
            let alias = thrice(|| files::read(Path::new(&path)));
            changes.aliases.extend(
                alias.ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()),
            );
        }
    }
    let inputs = names("/dev/input").into_iter();
    let events = inputs.filter(|name| name.starts_with("event"));
    changes.inputs.extend(events.map(|name| format!("input/{name}")));
    changes.nodes = names("/dev");
    changes.nodes.extend(names("/dev/net").iter().map(|name| format!("net/{name}")));
    changes
}

/// What is in a folder. Nothing where there is none, and not because memory was short for a moment: a node would be
/// without its devices for good.
fn names(folder: &str) -> Vec<String> {
    thrice(|| files::list(Path::new(folder))).unwrap_or_default()
}

/// Opens an input device where it has a power key. One of that number from before is closed.
pub(crate) fn open_key(name: &str, held: &mut Held) {
    let Some(number) = name.strip_prefix("input/event").and_then(|text| text.parse().ok()) else {
        return;
    };
    let Some(key) = PowerKey::open(&format!("/dev/{name}")) else { return };
    if held.hear(&key, Source::Key(number), Tells::While).is_ok() {
        held.keys.insert(number, key);
    }
}

/// Whether a power key was pressed. One that is gone is closed, or each plugged in and out again
/// would leave a descriptor.
pub(crate) fn was_pressed(number: u32, held: &mut Held) -> bool {
    let Some(key) = held.keys.get(&number) else { return false };
    key.was_pressed().unwrap_or_else(|_| {
        held.keys.remove(&number);
        false
    })
}

/// The services' files of the image, `(name, text)` each, and those that cannot be read.
pub(crate) fn service_files(folder: &Path) -> (Vec<(String, String)>, Vec<SpecError>) {
    let (mut all, mut unread) = (Vec::new(), Vec::new());
    let names = thrice(|| files::list(folder)).unwrap_or_else(|source| {
        unread.push(SpecError::Read { file: folder.display().to_string(), source });
        Vec::new()
    });
    for file in names.into_iter().filter(|name| name.ends_with(".toml")) {
        match thrice(|| files::read(&folder.join(&file))) {
            Ok(text) => all.push((file, text)),
            Err(source) => unread.push(SpecError::Read { file, source }),
        }
    }
    all.sort();
    (all, unread)
}
