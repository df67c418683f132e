// SPDX-License-Identifier: Apache-2.0
//! The whole task: find, make, check, mount, and say who this node is.
//!
//! It always comes to a report. What cannot be had from the stick is in memory, and a fault says why.

use std::fs::File;
use std::path::Path;

use kubermesh_node::channel::StorageReport;
use kubermesh_node::identity::Identity;
use rustix::fs::{Mode, OFlags, openat};

use crate::crash;
use crate::error::{StorageError, in_one_line};
use crate::filesystem::FileSystem;
use crate::hardware::Hardware;
use crate::identity::{Found, Machines, random_bits};
use crate::leftovers;
use crate::memory;
use crate::mount::mounts;
use crate::place::Place;
use crate::room::Room;
use crate::say::say;
use crate::stick::{Faults, Stick, Used, use_it};

/// Prepares STATE and DATA. A second run finds them mounted and only reports.
#[must_use]
pub fn prepare(place: &Place) -> StorageReport {
    let mut faults = Faults::default();
    let found = Stick::find(place, &mut faults);
    let (mut stick, boot) = found.map_or((None, None), |(stick, boot)| (Some(stick), Some(boot)));
    let node_toml = stick
        .as_ref()
        .zip(boot)
        .and_then(|(stick, boot)| stick.node_toml(place, boot, &mut faults));
    let mut kept = None;
    let state = settle(Room::State, &place.state, stick.as_mut(), &mut faults, &mut kept);
    let identity = identify(place, state.is_some(), kept, &mut faults);
    let crash = crash::keep(place, state.is_some(), &mut faults);
    if let Some(sentence) = &crash {
        say(sentence);
    }
    let data = settle(Room::Data, &place.var, stick.as_mut(), &mut faults, &mut None);
    if let Err(refusal) = memory::lay_out(&place.var) {
        faults.add("DATA", &in_one_line(&refusal));
    }
    let where_to = |device: &Option<String>| device.clone().unwrap_or_else(|| "memory".to_owned());
    say(&format!("STATE is in {}, DATA in {}", where_to(&state), where_to(&data)));
    let (identity, faults) = (identity.to_string(), faults.0);
    StorageReport { state, data, identity, node_toml, crash, faults }
}

/// Mounts a room, from the stick or from memory; `kept` gets the machines of a STATE that can be read but not used.
fn settle(
    room: Room,
    target: &Path,
    stick: Option<&mut Stick>,
    faults: &mut Faults,
    kept: &mut Option<Machines>,
) -> Option<String> {
    let point = target.to_string_lossy();
    // PID 1 keeps a tmpfs on /var until there is DATA, which goes on top of it.
    let already = mounts().into_iter().rev().find(|mounted| mounted.point == point);
    if let Some(mounted) = already.as_ref().filter(|mounted| mounted.kind == "ext4") {
        return Some(mounted.source.clone());
    }
    let is_read_only = stick.as_ref().is_some_and(|stick| stick.is_read_only);
    let system = stick.and_then(|stick| stick.room(room, faults));
    if let Some(system) = &system {
        let used = if is_read_only { Used::No } else { use_it(system, target, faults) };
        if used == Used::Yes {
            if room == Room::Data {
                leftovers::take_away(target, faults);
            }
            return Some(system.device.display().to_string());
        }
        if room == Room::State && used == Used::No {
            *kept = machines_on(system).ok();
        }
    }
    if already.is_none()
        && let Err(refusal) = memory::attach(room, target)
    {
        faults.add(room.word(), &in_one_line(&refusal));
    }
    None
}

fn machines_on(system: &FileSystem) -> Result<Machines, StorageError> {
    let mounted = system.for_reading()?;
    let path = Path::new(IDENTITY);
    let told = |refusal: rustix::io::Errno| StorageError::Path {
        attempt: "open",
        path: path.into(),
        source: refusal.into(),
    };
    let file =
        openat(&mounted, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(told)?;
    Machines::parse(File::from(file), path)
}

/// Who this node is: as STATE says, as a STATE that can only be read says, or as the hardware says.
fn identify(
    place: &Place,
    has_state: bool,
    kept: Option<Machines>,
    faults: &mut Faults,
) -> Identity {
    let path = place.state.join(IDENTITY);
    let read = if has_state { Machines::read(&path) } else { Ok(kept.unwrap_or_default()) };
    // What cannot be read is left as it is: written anew, the machines in it would be lost for good.
    let is_read = read.is_ok();
    let mut machines = read.unwrap_or_else(|refusal| {
        let why = in_one_line(&refusal);
        faults
            .add("identity", &format!("{why}; as long as the file is so this node is another one"));
        Machines::default()
    });
    let hardware = Hardware::settled(place, |found| machines.knows(found));
    let may_be_written = has_state && is_read;
    if !may_be_written && !machines.knows(&hardware) {
        return without_state(&hardware, faults);
    }
    let fresh = random_bits().map_or_else(|_| hardware.hash(), Identity::from_bits);
    let (identity, found, is_changed) = machines.settle(&hardware, fresh);
    match found {
        Found::Known => {}
        Found::First => say(&format!("this node is {identity} from now on")),
        Found::Another => say(&format!(
            "this stick was in another machine: here the node is {identity} from now on"
        )),
    }
    if may_be_written
        && is_changed
        && let Err(refusal) = machines.write(&path)
    {
        faults.add("identity", &in_one_line(&refusal));
    }
    identity
}

fn without_state(hardware: &Hardware, faults: &mut Faults) -> Identity {
    if hardware.names().is_empty() {
        faults
            .add("identity", "no serial number, no port and no STATE: another one after each boot");
        return random_bits().map_or_else(|_| hardware.hash(), Identity::from_bits);
    }
    hardware.hash()
}

const IDENTITY: &str = "identity.toml";
