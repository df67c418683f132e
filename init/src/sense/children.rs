// SPDX-License-Identifier: Apache-2.0
//! Who has ended. PID 1 alone waits, for all: its own children and every orphan.

use kubermesh_node::event::{End, Event};
use kubermesh_sys::{process, spawn};

use super::workers::read_channel;
use crate::events::Events;
use crate::held::{Child, Held};

/// In one turn of the loop, a millisecond or two; then the other descriptors are looked at, and the rest
/// comes next turn.
const BATCH: usize = 64;

/// Reaps up to [`BATCH`] processes, a service's when its end is written down. The answer is who else
/// has ended, an orphan or a helper of PID 1's own, and whether there may be more.
pub(crate) fn reap(held: &mut Held, events: &mut Events) -> (Vec<u32>, bool) {
    let mut others = Vec::new();
    for _ in 0..BATCH {
        let Some((pid, how)) = process::next_ended() else { return (others, false) };
        if let Some(child) = held.children.get(&pid) {
            let (service, end) = (child.service.clone(), tell(child, how));
            // What a task reports last must not go with its channel: it may have come after this
            // turn's epoll was asked.
            read_channel(held.number(&service), held, events);
            events.push(end);
            held.channels.remove(&service);
            held.newlines.remove(&service);
            held.children.remove(&pid);
        } else {
            others.push(pid);
        }
        process::reap(pid);
    }
    (others, true)
}

fn tell(child: &Child, how: process::Ended) -> Event {
    let (service, instance) = (child.service.clone(), child.instance);
    if let Some(errno) = child.gate.as_ref().and_then(spawn::why_not) {
        let sentence = format!("cannot be executed: {errno}");
        return Event::SpawnFailed { service, instance, sentence };
    }
    let end = match how {
        process::Ended::Exit(status) => End::Exit(status),
        process::Ended::Signal(number) => End::Signal(number),
    };
    Event::Ended { service, instance, end }
}
