// SPDX-License-Identifier: Apache-2.0
//! Who has ended. PID 1 alone waits, for all: its own children and every orphan.

use kubermesh_node::event::{End, Event};
use kubermesh_sys::{process, spawn};

use super::workers::read_channel;
use crate::held::Held;

/// A process that has ended.
pub(crate) enum Ended {
    /// A service's main process; before that, what it had still reported.
    Main(Event),
    /// Any other: an orphan, or a helper of PID 1's own.
    Other(u32),
}

/// In one turn of the loop; then the other descriptors are looked at, and the rest comes next turn.
const BATCH: usize = 256;

/// Reaps up to [`BATCH`] processes; whether there may be more.
pub(crate) fn reap(held: &mut Held) -> (Vec<Ended>, bool) {
    let mut ended = Vec::new();
    while ended.len() < BATCH {
        let Some((pid, how)) = process::reap() else { return (ended, false) };
        // What a task reports last must not go with its channel: it may have come after this
        // turn's epoll was asked.
        ended.extend(last_words(pid, held).into_iter().map(Ended::Main));
        ended.push(tell(pid, how, held));
    }
    (ended, true)
}

fn last_words(pid: u32, held: &mut Held) -> Vec<Event> {
    let child = held.children.get(&pid).filter(|child| held.channels.contains_key(&child.service));
    let number = child.map(|child| held.number(&child.service));
    number.map(|number| read_channel(number, held)).unwrap_or_default()
}

fn tell(pid: u32, how: process::Ended, held: &mut Held) -> Ended {
    let Some(child) = held.children.remove(&pid) else { return Ended::Other(pid) };
    let failure = child.failure.as_ref().and_then(spawn::why_not);
    let (service, instance) = (child.service, child.instance);
    held.channels.remove(&service);
    held.newlines.remove(&service);
    if let Some(errno) = failure {
        let sentence = format!("cannot be executed: {errno}");
        return Ended::Main(Event::SpawnFailed { service, instance, sentence });
    }
    let end = match how {
        process::Ended::Exit(status) => End::Exit(status),
        process::Ended::Signal(number) => End::Signal(number),
    };
    Ended::Main(Event::Ended { service, instance, end })
}
