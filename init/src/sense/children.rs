// SPDX-License-Identifier: Apache-2.0
//! Who has ended. PID 1 alone waits, for all: its own children and every orphan.

use kubermesh_node::event::{End, Event};
use kubermesh_sys::{process, spawn};

use super::workers::read_channel;
use crate::events::Events;
use crate::held::{Child, Held};

/// Who has ended.
pub(crate) enum Gone {
    /// A service's main process; its end is written down.
    Main(u32),
    /// An orphan, or a helper of PID 1's own.
    Other(u32),
}

/// The next one, which stays a zombie until it is reaped.
pub(crate) fn next_gone(held: &mut Held, events: &mut Events) -> Option<Gone> {
    let (pid, how) = process::next_ended()?;
    let lent = held.lent.remove(&pid);
    let Some(child) = held.children.get(&pid) else { return Some(Gone::Other(pid)) };
    let has_lived = lent.is_none() || child.gate.as_ref().is_some_and(spawn::has_own_table);
    if !has_lived && matches!(how, process::Ended::Signal(_)) {
        // Killed at its birth: somebody else has written `cgroup.kill` there, or above, and nobody said where.
        held.clean_cgroups.clear();
    }
    let (service, end) = (child.service.clone(), tell(child, how));
    // What a task reports last must not go with its channel: it may have come after this
    // turn's epoll was asked.
    read_channel(held.number(&service), held, events);
    events.push(end);
    held.channels.remove(&service);
    held.newlines.remove(&service);
    held.children.remove(&pid);
    Some(Gone::Main(pid))
}

/// Takes the end of an orphan, and of up to `most` in all of its process group, and says who they are; how many.
///
/// To look at each first, as at a main process, takes the kernel half as long again. No main process is among
/// them: it leads a group of its own ([`spawn`]), and that one is left out while it lives.
pub(crate) fn reap_crowd(
    first: u32,
    most: usize,
    held: &mut Held,
    mut says: impl FnMut(u32),
) -> usize {
    // One that leads a group of its own has mostly nobody behind it.
    let group = process::group_of(first)
        .filter(|group| *group != first && !held.children.contains_key(group));
    let mut gone = |pid| {
        says(pid);
        held.rehearsal.iter_mut().for_each(|rehearsal| rehearsal.ended(pid));
    };
    gone(first);
    process::reap(first);
    let fellows = std::iter::from_fn(|| group.and_then(process::reap_one_of));
    fellows.take(most.saturating_sub(1)).map(gone).count().saturating_add(1)
}

fn tell(child: &Child, how: process::Ended) -> Event {
    let (service, instance) = (child.service.clone(), child.instance);
    if how == process::Ended::Exit(spawn::NOT_EXECUTED)
        && let Some(errno) = child.gate.as_ref().and_then(spawn::why_not)
    {
        let sentence = format!("cannot be executed: {errno}");
        return Event::SpawnFailed { service, instance, sentence };
    }
    let end = match how {
        process::Ended::Exit(status) => End::Exit(status),
        process::Ended::Signal(number) => End::Signal(number),
    };
    Event::Ended { service, instance, end }
}
