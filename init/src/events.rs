// SPDX-License-Identifier: Apache-2.0
//! Events that wait to be answered, in order; each is written down before whoever told it is let go.
//!
//! ```text
//! told (and still there) ─► push: record ─► taken away ─► … ─► next ─► step ─► effects, one by one
//! ```
//!
//! A crash anywhere loses no event and performs no effect twice but the one that it hit; that one
//! is done again, and each of them may be.

use std::collections::VecDeque;

use kubermesh_node::effect::Effect;
use kubermesh_node::event::Event;
use kubermesh_node::node::Node;
use kubermesh_node::time::Time;
use kubermesh_sys::descriptor::OwnedFd;
use kubermesh_sys::{clock, fault};

use crate::recorder::{RecordError, Recorder};

/// What waits, and the record of it.
pub(crate) struct Events {
    recorder: Recorder,
    waiting: VecDeque<(Time, Event)>,
    /// So many effects of the first one were performed before a crash.
    performed: usize,
    /// The first one was begun before a crash.
    again: bool,
    /// This program may have to go back: the record is only added to.
    on_trial: bool,
    refusal: Option<RecordError>,
}

impl Events {
    /// `waiting` is in the record already; so many effects of the first one were performed.
    pub(crate) const fn new(
        recorder: Recorder,
        waiting: VecDeque<(Time, Event)>,
        performed: usize,
    ) -> Self {
        Self { recorder, waiting, performed, again: true, on_trial: false, refusal: None }
    }

    /// The same for a program on trial, until it [`Events::stay`]s.
    pub(crate) fn on_trial(self) -> Self {
        Self { on_trial: true, ..self }
    }

    /// Adds one. When this comes back it is written down, and who told it may forget it.
    pub(crate) fn push(&mut self, event: Event) {
        let now = now();
        if let Err(refusal) = self.recorder.note(now, &event) {
            if self.on_trial {
                // The old program would go on from a record with a gap. This event is still there for it.
                fault::go_back(c"the record cannot be written");
            }
            self.refusal = Some(refusal);
        }
        self.waiting.push_back((now, event));
    }

    /// The next one to be answered, and how many of its effects are performed already.
    pub(crate) fn next(&mut self) -> Option<(Time, Event, usize)> {
        let (when, event) = self.waiting.pop_front()?;
        Some((when, event, std::mem::take(&mut self.performed)))
    }

    /// This effect is being performed now; not if a crash hit it when it was done.
    pub(crate) fn begin(&mut self, number: usize, effect: &Effect) -> bool {
        if self.again && self.is_answered(effect) {
            return false;
        }
        self.recorder.begin(number);
        true
    }

    /// All effects of the last one are performed.
    pub(crate) fn end(&mut self) {
        self.again = false;
        self.recorder.end();
    }

    /// Writes the node down whole, where the list of events has become long. What went wrong since
    /// the last call.
    pub(crate) fn shorten(&mut self, node: &Node) -> Option<RecordError> {
        let refusal = self.refusal.take();
        // An event that could not be written down is missing in the list.
        let is_due = refusal.is_some() || self.recorder.is_long();
        if self.waiting.is_empty() && is_due && !self.on_trial {
            self.refusal = self.write_whole(node).err();
        }
        refusal
    }

    /// Writes the node down whole: the events so far are in it.
    pub(crate) fn write_whole(&mut self, node: &Node) -> Result<(), RecordError> {
        self.recorder.write_whole(node, &self.waiting, 0, 0)
    }

    /// Whether this program may have to go back.
    pub(crate) const fn is_on_trial(&self) -> bool {
        self.on_trial
    }

    /// The trial is over: from now on the record is this program's own.
    pub(crate) fn stay(&mut self, node: &Node) -> Result<(), RecordError> {
        self.on_trial = false;
        self.write_whole(node)
    }

    /// The record as it is now, for another program to read.
    pub(crate) fn copy(&self) -> Result<OwnedFd, RecordError> {
        self.recorder.copy()
    }

    /// What waits.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Event> {
        self.waiting.iter().map(|(_, event)| event)
    }

    /// A run that was started has its answer among what waits.
    fn is_answered(&self, effect: &Effect) -> bool {
        let Effect::Spawn(launch) = effect else { return false };
        let answers = |event: &Event| match event {
            Event::Spawned { service, instance, .. }
            | Event::SpawnFailed { service, instance, .. } => {
                *service == launch.service && *instance == launch.instance
            }
            Event::Begun
            | Event::Recovered { .. }
            | Event::Upgraded { .. }
            | Event::Ready { .. }
            | Event::Ended { .. }
            | Event::Reported { .. }
            | Event::OutputLost { .. }
            | Event::Asked { .. }
            | Event::Leave(_)
            | Event::Clock
            | Event::WatchdogTick => false,
        };
        self.waiting().any(answers)
    }
}

/// The moment.
pub(crate) fn now() -> Time {
    Time::from_millis(u64::try_from(clock::since_start().as_millis()).unwrap_or(u64::MAX))
}
