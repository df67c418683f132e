// SPDX-License-Identifier: Apache-2.0
//! The next life after a crash: takes back what the last one held, and goes on where it was hit.
//!
//! ```text
//! record ─► the node as it was ─► events that were answered, once more, their effects left out
//!        ─► what was not answered: from the effect on that was hit ─► the loop
//! ```
//!
//! An event that crashes PID 1 again and again is passed over at last, and that is told.

use std::collections::{BTreeMap, VecDeque};

use kubermesh_node::event::{End, Event};
use kubermesh_node::node::Node;
use kubermesh_node::service::ServiceName;
use kubermesh_sys::{fault, process, spawn};

use crate::events::{Events, now};
use crate::held::{Child, Held};
use crate::recorder::{CRASH_WINDOW, RecordError, Recorder};
use crate::say::{Urgency, Voice, chain};
use crate::{cgroup, kept, last_resort, run};

/// The node as the last life had it, and what that has not answered.
pub(crate) struct LastLife {
    pub(crate) node: Node,
    pub(crate) events: Events,
}

/// Why there is no going on.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("more than {budget} crashes within {CRASH_WINDOW}, the last by {cause}")]
    TooOften { budget: u64, cause: String },
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// So many crashes within [`CRASH_WINDOW`] are borne; the kernel's command line may say otherwise:
/// `kubermesh.crashes=10`.
const BUDGET: u64 = 3;
const BUDGET_WORD: &str = "kubermesh.crashes=";

/// So many lives try the same event; the one after them passes it over. Fewer than [`BUDGET`], or
/// the machine would start again before.
const TRIES: u64 = 2;

/// Goes on after a crash.
pub(crate) fn go_on(cause: &str) {
    begin(Event::Recovered { cause: cause.to_owned() });
}

/// Goes on in the place of another program, on trial.
pub(crate) fn take_over() {
    fault::fall_back_to(kept::OLD);
    begin(Event::Upgraded { version: VERSION.to_owned(), refusal: None });
}

/// Goes on since the program that took over did not do well on its trial.
pub(crate) fn go_back(cause: &str) {
    begin(Event::Upgraded { version: VERSION.to_owned(), refusal: Some(cause.to_owned()) });
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn begin(news: Event) {
    let voice = Voice::open();
    last_resort::prepare(&voice);
    match last_life(&news, &voice) {
        Ok(life) => run::go_to_work(life, news, voice),
        Err(refusal) => last_resort::start_again(&voice, &chain(&refusal)),
    }
}

fn last_life(news: &Event, voice: &Voice) -> Result<LastLife, Refusal> {
    let mut recorder = Recorder::take_back()?;
    if let Event::Recovered { cause } = news {
        let budget = budget(&run::kernel_line());
        // Before anything that may crash again.
        if recorder.count_crash(now(), budget) {
            return Err(Refusal::TooOften { budget, cause: cause.clone() });
        }
    }
    let mut left = match recorder.read() {
        Ok(left) => left,
        Err(refusal) => {
            // Open as it is: where this program is on trial, the one before takes it back.
            std::mem::forget(recorder);
            return Err(refusal.into());
        }
    };
    let mut waiting: VecDeque<_> = left.events.split_off(left.answered).into();
    let mut node = left.node;
    for (when, event) in left.events {
        drop(node.step(event, when));
    }
    let (mut begun, mut tries) = (left.begun, left.tries);
    if matches!(news, Event::Upgraded { refusal: None, .. }) {
        let events = Events::new(recorder, waiting, begun.saturating_sub(1)).on_trial();
        return Ok(LastLife { node, events });
    }
    if tries >= TRIES && !waiting.is_empty() {
        voice.say(Urgency::Error, "what crashed PID 1 again and again is passed over");
        tries = 0;
        if begun == 0 {
            waiting.pop_front();
        } else {
            // It was the effect, not the thinking: the next one is the first to be performed.
            begun = begun.saturating_add(1);
        }
    }
    let tries = if waiting.is_empty() { 0 } else { tries.saturating_add(1) };
    recorder.write_whole(&node, &waiting, begun as u64, tries)?;
    let events = Events::new(recorder, waiting, begun.saturating_sub(1));
    Ok(LastLife { node, events })
}

fn budget(kernel_line: &str) -> u64 {
    let mut words = kernel_line.split_whitespace();
    let word = words.find_map(|word| word.strip_prefix(BUDGET_WORD));
    word.and_then(|number| number.parse().ok()).unwrap_or(BUDGET)
}

/// Takes back what the services have left: their outputs, and what belongs to runs that live.
pub(crate) fn take_back(node: &Node, events: &mut Events, held: &mut Held) {
    let runs = runs(node, events);
    for (at, name) in (0..).zip(held.names.clone()) {
        let left = kept::take_back(at);
        held.outputs.extend(left.output.map(|output| (name.clone(), output)));
        let Some(&(instance, pid)) = runs.get(&name) else {
            // Whether a kill was refused is not known any more: it is made sure of before the next start.
            held.unkilled.extend(node.killed_cgroup(&name));
            continue;
        };
        if !is_there(node, &name, pid) {
            events.push(Event::Ended { service: name, instance, end: End::Exit(-1) });
            continue;
        }
        if let Some(gate) = &left.gate {
            // It may have been written down and not let go.
            spawn::let_go(gate);
        }
        if node.is_worker(&name) {
            held.channels.extend(left.third.map(|channel| (name.clone(), channel)));
        } else {
            held.newlines.extend(left.third.map(|reader| (name.clone(), (instance, reader))));
        }
        held.children.insert(pid, Child { service: name, instance, gate: left.gate });
    }
}

/// The runs that live: those the node knows, and those whose news it has not answered yet.
fn runs(node: &Node, events: &Events) -> BTreeMap<ServiceName, (u64, u32)> {
    let known = node.processes().filter_map(|(name, run, pid)| Some((name.clone(), (run, pid?))));
    let mut runs: BTreeMap<ServiceName, (u64, u32)> = known.collect();
    for event in events.waiting() {
        match event {
            Event::Spawned { service, instance, pid } => {
                runs.insert(service.clone(), (*instance, *pid));
            }
            Event::Ended { service, .. } | Event::SpawnFailed { service, .. } => {
                runs.remove(service);
            }
            Event::Begun
            | Event::Recovered { .. }
            | Event::Upgraded { .. }
            | Event::Ready { .. }
            | Event::Reported { .. }
            | Event::OutputLost { .. }
            | Event::Asked { .. }
            | Event::Leave(_)
            | Event::Clock
            | Event::WatchdogTick => {}
        }
    }
    runs
}

/// The kernel is believed first: it is a child of ours, and in its service's cgroup, in one below that which it
/// made itself, or, made a moment ago, still in our own. A number that was given to somebody else fits neither. Where the cgroup cannot be
/// read, which takes memory, a child is believed to be the one: nobody else reaps it.
fn is_there(node: &Node, service: &ServiceName, pid: u32) -> bool {
    let fits = cgroup::of(&pid.to_string()).is_none_or(|found| {
        node.cgroup(service).is_some_and(|own| is_in(&found, &own))
            || cgroup::of("self").is_none_or(|own| own == found)
    });
    fits && process::is_child(pid)
}

/// Whether a cgroup is this one or below it.
fn is_in(cgroup: &str, own: &str) -> bool {
    cgroup.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_moved_into_a_cgroup_below_its_own_is_still_there() {
        assert!(is_in("system/a", "system/a"));
        assert!(is_in("system/a/payload", "system/a"));
        assert!(!is_in("system/ab", "system/a"));
        assert!(!is_in("system", "system/a"));
    }

    #[test]
    fn the_kernels_command_line_may_say_how_many_crashes_are_borne() {
        assert_eq!(budget("root=/dev/x kubermesh.crashes=10 quiet"), 10);
        assert_eq!(budget("kubermesh.crashes=many"), 3);
        assert_eq!(budget(""), 3);
    }
}
