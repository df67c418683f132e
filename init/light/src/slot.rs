// SPDX-License-Identifier: Apache-2.0
//! A light that is plugged in, whether it answers or not.
//!
//! ```text
//!            opened                        a failure, or too slow
//!  Closed ───────────► Open: told by its lamp ───────────► Closed, tried again later
//! ```
//!
//! The first failure is not told: a light that is being pulled out fails before the kernel says
//! that it is gone. The second one is.

use kubermesh_node::channel::Wrong;
use kubermesh_node::light::Look;
use kubermesh_node::time::{Span, Time};

use crate::command::Report;
use crate::lamp::{Lamp, Model};

/// The machine's USB sockets, as far as lights are concerned.
pub(crate) trait Bus {
    type Wire: Wire;

    /// Each light that is plugged in now.
    fn plugged(&mut self) -> Result<Vec<Plugged>, Refusal>;

    fn open(&mut self, path: &str) -> Result<Self::Wire, Refusal>;
}

/// The way to one light.
pub(crate) trait Wire {
    /// May take as long as the kernel waits for a USB device: five seconds.
    fn send(&mut self, report: Report) -> Result<(), Refusal>;
}

/// Why a light could not be told, in the kernel's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refusal(pub(crate) String);

/// Where a light is and which one it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plugged {
    /// `/dev/hidraw0`: another one when it is plugged in again.
    pub(crate) path: String,
    /// Empty where it has none.
    pub(crate) serial: String,
}

/// One light and its state.
#[derive(Debug)]
pub(crate) struct Slot<W> {
    pub(crate) plugged: Plugged,
    state: State<W>,
    failures: u32,
    fault: Option<String>,
}

#[derive(Debug)]
enum State<W> {
    Closed { again_at: Time },
    Open { wire: W, lamp: Lamp, answers: bool },
}

impl<W: Wire> Slot<W> {
    pub(crate) const fn new(plugged: Plugged, now: Time) -> Self {
        Self { plugged, state: State::Closed { again_at: now }, failures: 0, fault: None }
    }

    /// When it wants its next turn.
    pub(crate) fn due(&self) -> Option<Time> {
        match &self.state {
            State::Closed { again_at } => Some(*again_at),
            State::Open { lamp, .. } => lamp.due(),
        }
    }

    /// Whether all that it was to be told has been told.
    pub(crate) fn is_settled(&self) -> bool {
        match &self.state {
            State::Closed { .. } => self.failures > 0,
            State::Open { lamp, .. } => lamp.is_settled(),
        }
    }

    pub(crate) fn show(&mut self, look: Look, now: Time) {
        match &mut self.state {
            State::Open { lamp, .. } => lamp.show(look, now),
            State::Closed { .. } => {}
        }
    }

    /// At most one transfer.
    pub(crate) fn turn<B>(&mut self, bus: &mut B, look: Look, clock: &impl Fn() -> Time)
    where
        B: Bus<Wire = W>,
    {
        let now = clock();
        let heard = match &mut self.state {
            State::Closed { .. } => match bus.open(&self.plugged.path) {
                Ok(wire) => {
                    let lamp = Lamp::new(self.model(), look, now);
                    self.state = State::Open { wire, lamp, answers: false };
                    Ok(())
                }
                Err(refusal) => Err(refusal),
            },
            State::Open { wire, lamp, answers } => {
                let told = lamp.next(now).map_or(Ok(()), |command| wire.send(command.report()));
                *answers |= told.is_ok() && lamp.is_settled();
                told
            }
        };
        let took = clock().since(now);
        match heard {
            Err(refusal) => self.fail(&format!("does not take orders: {refusal}"), clock()),
            Ok(()) if took > TOO_SLOW => {
                self.fail(&format!("took {took} for an order, allowed are {TOO_SLOW}"), clock());
            }
            Ok(()) if self.answers() => (self.failures, self.fault) = (0, None),
            Ok(()) => {}
        }
    }

    /// Took all orders since it was opened.
    pub(crate) const fn answers(&self) -> bool {
        matches!(self.state, State::Open { answers: true, .. })
    }

    pub(crate) fn wrong(&self) -> Option<Wrong> {
        let sentence = self.fault.clone()?;
        Some(Wrong { subject: self.subject(), sentence })
    }

    fn subject(&self) -> String {
        match self.plugged.serial.as_str() {
            "" => format!("blink(1) at {}", self.plugged.path),
            serial => format!("blink(1) {serial}"),
        }
    }

    fn model(&self) -> Model {
        Model::of_serial(&self.plugged.serial)
    }

    fn fail(&mut self, sentence: &str, now: Time) {
        self.failures = self.failures.saturating_add(1);
        let rest = if self.failures == 1 { FIRST_REST } else { REST };
        tracing::warn!(light = self.subject(), rest = %rest, "{sentence}");
        self.fault = (self.failures > 1).then(|| sentence.to_owned());
        self.state = State::Closed { again_at: now.after(rest) };
    }
}

/// A light that was pulled out is gone by then: hubs notice within 100 ms (USB 2.0, 7.1.7.3).
const FIRST_REST: Span = Span::from_secs(1);

/// A hanging light costs the others five seconds each time, and they want "alive" every fifteen.
const REST: Span = Span::from_secs(30);

/// A transfer takes some milliseconds; this is a device or a hub that is about to hang.
const TOO_SLOW: Span = Span::from_secs(3);
