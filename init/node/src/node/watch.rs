// SPDX-License-Identifier: Apache-2.0
//! Who watches the watchers: the hardware watches PID 1, PID 1 watches `probe`, `probe` the rest.
//!
//! All on the watchdog's tick, so that an idle PID 1 wakes for nothing else.

use serde::{Deserialize, Serialize};

use super::Node;
use crate::channel::Order;
use crate::effect::Effect;
use crate::time::{Span, Time};

/// Pings to `probe` that are still unanswered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Watch {
    sent: u64,
    answered: u64,
}

impl Watch {
    pub(super) fn pong(&mut self, number: u64) {
        self.answered = self.answered.max(number.min(self.sent));
    }

    /// The next run of `probe` is not asked for what this one left open.
    pub(super) const fn forget(&mut self) {
        self.answered = self.sent;
    }
}

/// The worker that makes the periodic checks.
pub(super) const PROBE: &str = "probe";

/// So many pings without an answer and `probe` is restarted: it may be busy with one slow check,
/// never with two ticks' worth of them.
const PINGS_UNANSWERED: u64 = 2;

/// A node that is so late with a deadline of its own no longer moves: the hardware shall end it.
/// Longer than any single effect takes on a busy machine.
const OVERDUE: Span = Span::from_secs(10);

impl Node {
    pub(super) fn tick(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let is_overdue = self.next_wake().is_some_and(|due| due.after(OVERDUE) < now);
        if !is_overdue {
            effects.push(Effect::FeedWatchdog);
        }
        let Some((name, probe)) = self.services.get_key_value(PROBE) else { return };
        if !probe.life.is_up() || self.way_down.is_some() {
            return;
        }
        if self.watch.sent.saturating_sub(self.watch.answered) >= PINGS_UNANSWERED {
            let (name, instance) = (name.clone(), probe.life.instance);
            self.unhealthy(&name, instance, "answers no ping of PID 1", now, effects);
            return;
        }
        self.watch.sent = self.watch.sent.saturating_add(1);
        effects.extend(self.tell(PROBE, Order::Ping { number: self.watch.sent }));
    }
}
