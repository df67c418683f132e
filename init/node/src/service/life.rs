// SPDX-License-Identifier: Apache-2.0
//! One service's life, as a pure state machine.
//!
//! It is told what happened and says what to do next. It knows no pid: each run has an instance
//! number, so that late news of one run never hits the next.
//!
//! ```text
//!            Start             Ready              Stop, Restart, Unhealthy
//!  Stopped ────────► Starting ───────► Running ──────────► Stopping ──► Stopped | Resting | Starting
//!                     ▲    │ Ended        │ Ended             │ still there, killed in vain
//!              Clock  │    ▼              ▼                   ▼
//!                     └─ Resting ◄────────┘                 Stuck (a process in D state)
//!                                          └─ a task that succeeded ─► Done
//! ```
//!
//! What is deliberately absent: the wish. The supervisor keeps it, and sends `Start`.

use serde::{Deserialize, Serialize};

use super::spec::{Kill, Kind, ServiceSpec};
use crate::time::{Span, Time};

/// What may happen to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is wanted, and what it waits for is ready.
    Start,
    /// It is wanted no longer.
    Stop,
    /// A person, or a change of its configuration, asks for a new run.
    Restart,
    /// This run says or shows that it is up.
    Ready(u64),
    /// This run's main process is gone.
    Ended {
        /// Which run.
        instance: u64,
        /// Exit status 0.
        success: bool,
    },
    /// This run answers no longer.
    Unhealthy(u64),
    /// The moment asked for by [`Effect::WakeAt`], or any later one.
    Clock,
}

/// What a service may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Start this run.
    Spawn(u64),
    /// Ask its main process to end.
    Terminate,
    /// Kill its main process alone.
    KillMain,
    /// Kill everything in its cgroup.
    KillGroup,
    /// Send [`Event::Clock`] at this moment.
    WakeAt(Time),
}

/// Where a service stands. Each state carries what it needs to be left, and nothing more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing runs.
    #[default]
    Stopped,
    /// A run has begun and is not up yet.
    Starting {
        /// Then it has failed.
        give_up_at: Time,
    },
    /// Up.
    Running {
        /// Since when.
        since: Time,
    },
    /// Failed; the next run begins by itself.
    Resting {
        /// At this moment.
        until: Time,
    },
    /// Being ended.
    Stopping {
        /// The next thing to do about it is due then.
        next_at: Time,
        /// What has been done so far.
        force: Force,
        /// What comes after.
        then: Then,
    },
    /// Killed, and still there: the kernel keeps a process in D state. No new run before it is gone.
    Stuck {
        /// It is killed once more at this moment: the kill itself may have failed.
        again_at: Time,
        /// What comes after.
        then: Then,
    },
    /// A task that succeeded.
    Done,
}

/// How far the ending of a run has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Force {
    /// Asked to end.
    Asked,
    /// Killed.
    Killed,
}

/// What comes after a run has been ended on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// Nothing.
    Stay,
    /// A new run at once.
    Again,
    /// A rest first: it was ended because it failed.
    Rest,
}

/// A service's life: where it stands, which run it is, how often it failed in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// Where it stands.
    pub state: State,
    /// The number of the present or last run; 0 before the first.
    pub instance: u64,
    /// Failures in a row.
    pub failures: u32,
}

/// Killed and still there after so long: the kernel cannot end it (D state).
const STUCK_AFTER: Span = Span::from_secs(5);

/// From one kill of what is stuck to the next.
const KILLED_AGAIN: Span = Span::from_secs(30);

impl Life {
    /// Answers one event with what to do about it.
    pub fn step(&mut self, event: Event, now: Time, spec: &ServiceSpec) -> Vec<Effect> {
        match (self.state, event) {
            (State::Stopped | State::Done, Event::Start) => self.start(now, spec),
            (State::Resting { .. }, Event::Restart) => {
                self.failures = 0;
                self.start(now, spec)
            }
            (State::Done, Event::Restart) => self.start(now, spec),
            (State::Resting { until }, Event::Clock) if until <= now => self.start(now, spec),
            // Of a run that left its group alone, for the next one to find, nobody is left for the machine's last step.
            (State::Resting { .. }, Event::Stop) => self.after(Then::Stay, now, spec),

            // A task is up when it is done, whatever it says meanwhile.
            (State::Starting { .. }, Event::Ready(instance))
                if instance == self.instance && spec.kind == Kind::Service =>
            {
                self.settle(State::Running { since: now })
            }
            (State::Starting { give_up_at }, Event::Clock) if give_up_at <= now => {
                self.kill(Then::Rest, now, spec)
            }
            (State::Starting { .. } | State::Running { .. }, Event::Unhealthy(instance))
                if instance == self.instance =>
            {
                self.kill(Then::Rest, now, spec)
            }
            (State::Starting { .. } | State::Running { .. }, Event::Stop) => {
                self.ask(Then::Stay, now, spec)
            }
            (State::Starting { .. } | State::Running { .. }, Event::Restart) => {
                self.failures = 0;
                self.ask(Then::Again, now, spec)
            }

            (_, Event::Ended { instance, .. }) if instance != self.instance => vec![],
            (State::Starting { .. }, Event::Ended { success, .. }) => {
                self.ended(success, None, now, spec)
            }
            (State::Running { since }, Event::Ended { success, .. }) => {
                self.ended(success, Some(since), now, spec)
            }
            (State::Stopping { then, .. } | State::Stuck { then, .. }, Event::Ended { .. }) => {
                self.after(then, now, spec)
            }

            (State::Stopping { next_at, force, then }, Event::Clock) if next_at <= now => {
                match force {
                    Force::Asked => self.kill(then, now, spec),
                    Force::Killed => {
                        self.settle(State::Stuck { again_at: now.after(KILLED_AGAIN), then })
                    }
                }
            }
            (State::Stuck { again_at, then }, Event::Clock) if again_at <= now => {
                self.state = State::Stuck { again_at: now.after(KILLED_AGAIN), then };
                vec![victim(then, spec)]
            }
            // A wish that comes while it is being ended is what comes after; none is lost.
            (State::Stopping { next_at, force, .. }, Event::Stop) => {
                self.settle(State::Stopping { next_at, force, then: Then::Stay })
            }
            (State::Stopping { next_at, force, .. }, Event::Start | Event::Restart) => {
                self.settle(State::Stopping { next_at, force, then: Then::Again })
            }
            (State::Stuck { again_at, .. }, Event::Stop) => {
                self.settle(State::Stuck { again_at, then: Then::Stay })
            }
            (State::Stuck { again_at, .. }, Event::Start | Event::Restart) => {
                self.settle(State::Stuck { again_at, then: Then::Again })
            }

            // Nothing to do. Listed, not defaulted: a new state or event stops the build here.
            (
                State::Starting { .. } | State::Running { .. } | State::Resting { .. },
                Event::Start,
            )
            | (State::Stopped, Event::Restart)
            | (State::Stopped | State::Done, Event::Stop)
            | (_, Event::Ready(_) | Event::Unhealthy(_) | Event::Clock)
            | (State::Stopped | State::Resting { .. } | State::Done, Event::Ended { .. }) => vec![],
        }
    }

    /// It does what it is for: a service runs, a task is done.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        matches!(self.state, State::Running { .. } | State::Done)
    }

    /// It waits for nothing but to be started.
    #[must_use]
    pub const fn is_stopped(&self) -> bool {
        matches!(self.state, State::Stopped)
    }

    /// It failed and is not up again, or cannot be ended.
    #[must_use]
    pub const fn is_unwell(&self) -> bool {
        self.is_stuck() || (self.failures > 0 && !self.is_up())
    }

    /// Killed, and still there: the kernel holds it.
    #[must_use]
    pub const fn is_stuck(&self) -> bool {
        matches!(self.state, State::Stuck { .. })
    }

    /// Nothing of it runs.
    #[must_use]
    pub const fn is_down(&self) -> bool {
        matches!(self.state, State::Stopped | State::Done | State::Resting { .. })
    }

    /// The moment for which it waits, where it waits for one.
    #[must_use]
    pub const fn wakes_at(&self) -> Option<Time> {
        match self.state {
            State::Starting { give_up_at: at }
            | State::Resting { until: at }
            | State::Stopping { next_at: at, .. }
            | State::Stuck { again_at: at, .. } => Some(at),
            State::Stopped | State::Running { .. } | State::Done => None,
        }
    }

    /// What this run has not heard yet when it gets its process only now: it is being ended already.
    #[must_use]
    pub fn unheard(&self, spec: &ServiceSpec) -> Option<Effect> {
        match self.state {
            State::Stopping { force: Force::Asked, .. } => Some(Effect::Terminate),
            State::Stopping { force: Force::Killed, then, .. } | State::Stuck { then, .. } => {
                Some(victim(then, spec))
            }
            State::Stopped
            | State::Starting { .. }
            | State::Running { .. }
            | State::Resting { .. }
            | State::Done => None,
        }
    }

    fn start(&mut self, now: Time, spec: &ServiceSpec) -> Vec<Effect> {
        self.instance = self.instance.saturating_add(1);
        let within = match spec.kind {
            Kind::Service | Kind::Task => spec.ready.within,
            Kind::Stop => spec.stop.within,
        };
        let give_up_at = now.after(within);
        self.state = State::Starting { give_up_at };
        vec![Effect::Spawn(self.instance), Effect::WakeAt(give_up_at)]
    }

    fn ask(&mut self, then: Then, now: Time, spec: &ServiceSpec) -> Vec<Effect> {
        let next_at = now.after(spec.stop.within);
        self.state = State::Stopping { next_at, force: Force::Asked, then };
        vec![Effect::Terminate, Effect::WakeAt(next_at)]
    }

    fn kill(&mut self, then: Then, now: Time, spec: &ServiceSpec) -> Vec<Effect> {
        let next_at = now.after(STUCK_AFTER);
        self.state = State::Stopping { next_at, force: Force::Killed, then };
        vec![victim(then, spec), Effect::WakeAt(next_at)]
    }

    fn ended(
        &mut self,
        success: bool,
        since: Option<Time>,
        now: Time,
        spec: &ServiceSpec,
    ) -> Vec<Effect> {
        if success && spec.kind != Kind::Service {
            self.failures = 0;
            self.state = State::Done;
            return leftovers(spec);
        }
        let is_steady = since.is_some_and(|since| since.after(spec.restart.steady_after) <= now);
        if is_steady {
            self.failures = 0;
        }
        self.rest(now, spec)
    }

    fn after(&mut self, then: Then, now: Time, spec: &ServiceSpec) -> Vec<Effect> {
        match then {
            Then::Stay => {
                self.state = State::Stopped;
                vec![Effect::KillGroup]
            }
            Then::Rest => self.rest(now, spec),
            Then::Again => {
                let mut effects = leftovers(spec);
                effects.extend(self.start(now, spec));
                effects
            }
        }
    }

    fn rest(&mut self, now: Time, spec: &ServiceSpec) -> Vec<Effect> {
        self.failures = self.failures.saturating_add(1);
        if spec.kind == Kind::Stop {
            // The way down goes on, and does not come back to it.
            self.state = State::Stopped;
            return vec![Effect::KillGroup];
        }
        let until = now.after(rest_after(self.failures, &spec.restart.rests));
        self.state = State::Resting { until };
        let mut effects = leftovers(spec);
        effects.push(Effect::WakeAt(until));
        effects
    }

    fn settle(&mut self, state: State) -> Vec<Effect> {
        self.state = state;
        vec![]
    }
}

/// Whom a kill takes: a restart of containerd leaves the pods alone, the final stop does not.
const fn victim(then: Then, spec: &ServiceSpec) -> Effect {
    match (spec.stop.kill, then) {
        (Kill::Main, Then::Again | Then::Rest) => Effect::KillMain,
        (Kill::Main, Then::Stay) | (Kill::Group, _) => Effect::KillGroup,
    }
}

/// No grandchild outlives its run, except where the service says that they must (containerd's shims).
fn leftovers(spec: &ServiceSpec) -> Vec<Effect> {
    match spec.stop.kill {
        Kill::Group => vec![Effect::KillGroup],
        Kill::Main => vec![],
    }
}

fn rest_after(failures: u32, rests: &[Span]) -> Span {
    let nth = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX);
    rests.get(nth).or_else(|| rests.last()).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;
