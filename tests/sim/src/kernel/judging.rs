// SPDX-License-Identifier: Apache-2.0
//! What is judged, and when: each thought, each end of a turn, each sleep, and the peace after a storm.

use kubermesh_node::effect::Effect;
use kubermesh_node::event::Event;
use kubermesh_node::invariants::{Broken, Invariant, Judge, demand};
use kubermesh_node::node::Node;
use kubermesh_node::service::ServiceName;
use kubermesh_node::service::spec::Kind;
use kubermesh_node::status::Phase;
use kubermesh_node::story;
use kubermesh_node::time::Time;

use super::{Machine, Plan, Thing, is_rehearsal};
use crate::signals::Came;

/// The time in which a healed machine must be well, and in which a way down must end.
const PEACE: u64 = 40 * 60 * 1_000_000;
const DOWN: u64 = 30 * 60 * 1_000_000;

/// Who is told something new has heard it by then.
const HEARD: u64 = 10_000_000;

/// Turns of one second in which the node was told nothing; a busy machine has some dozens here.
const IDLE_TURNS: u64 = 400;

/// An event, and the judge before it.
pub(crate) struct Interrupted {
    when: Time,
    event: Event,
    pub(crate) judge: Judge,
}

impl Machine {
    pub(crate) fn thinks(&mut self, event: &Event, node: &Node, when: Time) {
        self.steps += 1;
        self.told(|| format!("> {}", story::event(event)));
        if let Some(hit) = &self.interrupted {
            let is_it = hit.when == when && hit.event == *event;
            let verdict = demand(Invariant::Wish, is_it, || {
                format!("PID 1 crashed over {:?} and goes on with {event:?}", hit.event)
            });
            self.demand(verdict);
        }
        if let Event::Ready { service, .. } = event {
            self.unheard.remove(service);
        }
        let (event_, judge) = (event.clone(), self.judge.clone());
        self.interrupted = Some(Interrupted { when, event: event_, judge });
        self.judge.hears(event, node, when);
    }

    pub(crate) fn answered(&mut self) {
        self.interrupted = None;
        self.crashes_in_a_row = 0;
    }

    pub(crate) fn decided(&mut self, effects: &[Effect], node: &Node) {
        for effect in effects {
            self.told(|| format!("< {}", story::effect(effect)));
        }
        if self.story.is_some() {
            let shown = node.status().to_string();
            if shown != self.last_shown {
                self.told(|| format!("~ {shown}"));
                self.last_shown = shown;
            }
        }
        let verdict = self.judge.decides(effects, node);
        self.demand(verdict);
        if *node.status() != self.status {
            self.status = node.status().clone();
            self.status_at = self.now;
        }
    }

    pub(crate) fn arm(&mut self, seconds: i32) {
        let seconds = u64::try_from(seconds).unwrap_or(0);
        self.watchdog = Some((seconds * 1_000_000, self.now));
    }

    /// Never refused: a watchdog that cannot be fed bites, whatever PID 1 does.
    pub(crate) fn feed(&mut self) {
        if let Some((_, fed_at)) = &mut self.watchdog {
            *fed_at = self.now;
        }
    }

    /// A turn of the loop is over.
    pub(crate) fn turn_ends(&mut self) {
        self.turns += 1;
        let (second, now) = (self.now / 1_000_000, self.now);
        if self.idle.0 != second {
            self.idle = (second, 0, self.steps);
        }
        if self.idle.2 == self.steps {
            self.idle.1 += 1;
        }
        self.idle.2 = self.steps;
        let turns = self.idle.1;
        let verdict = demand(Invariant::Alive, turns < IDLE_TURNS, || {
            format!("{turns} turns in one second for nothing: PID 1 spins")
        });
        self.demand(verdict);
        if let Some((within, fed_at)) = self.watchdog {
            let verdict = demand(Invariant::Watchdog, now - fed_at <= within, || {
                format!("it moves, and has not fed for {} s", (now - fed_at) / 1_000_000)
            });
            self.demand(verdict);
        }
        self.go_on_with_the_plan();
    }

    fn go_on_with_the_plan(&mut self) {
        match self.plan {
            Plan::Storm { steps } => {
                if self.judge.goes_down() {
                    self.plan = Plan::Down { until: self.now + DOWN };
                } else if self.steps >= steps {
                    self.told(|| "> the storm is over".into());
                    self.heal();
                    self.plan = Plan::Peace { until: self.now + PEACE };
                }
            }
            Plan::Peace { until } => {
                if self.judge.goes_down() {
                    self.plan = Plan::Down { until: self.now + DOWN };
                } else if self.now >= until.max(self.status_at + HEARD) {
                    let verdict = self.is_well();
                    self.demand(verdict);
                    self.told(|| "> the power fails".into());
                    self.raise(Came::Power);
                    self.plan = Plan::Down { until: self.now + DOWN };
                }
            }
            Plan::Down { until } => {
                let verdict = demand(Invariant::Stop, self.now < until, || {
                    format!("the way down does not end: {}", self.status)
                });
                self.demand(verdict);
            }
        }
    }

    /// PID 1 has nothing to do and sleeps: nothing may be left undone or held for nothing.
    pub(crate) fn falls_asleep(&mut self) {
        let verdict = self.nothing_is_left();
        self.demand(verdict);
    }

    fn nothing_is_left(&self) -> Result<(), Broken> {
        let unheard = self.unheard.first().map_or("", ServiceName::as_str);
        demand(Invariant::Wish, unheard.is_empty(), || {
            format!("{unheard} has said READY=1, and PID 1 sleeps and has not heard it")
        })?;
        let unreaped = self.processes.values().filter(|process| process.parent == 1);
        let zombie = unreaped.clone().find(|process| process.ended.is_some());
        demand(Invariant::Leak, zombie.is_none(), || {
            format!("PID 1 sleeps while a process waits to be reaped: {zombie:?}")
        })?;
        let mut found = [0_usize; 10];
        for id in self.descriptors.values() {
            let place = match &self.things[id].thing {
                Thing::Packets { .. } => 0,
                Thing::Reader { .. } => 1,
                Thing::Writer { .. } => 2,
                Thing::Key { .. } => 3,
                Thing::Stream { .. } => 4,
                Thing::Null => 5,
                Thing::Gate { .. } => 6,
                Thing::Folder(_) => 7,
                Thing::Lent => 8,
                Thing::Program => 9,
                Thing::Epoll
                | Thing::Signals
                | Thing::Log
                | Thing::Watchdog
                | Thing::Memory(_)
                | Thing::Notify(_)
                | Thing::Listener(_)
                | Thing::Uevents { .. } => continue,
            };
            found[place] += 1;
        }
        let mains = unreaped.clone().filter(|process| process.is_main).count();
        let rehearsals = unreaped.filter(|process| is_rehearsal(&process.command)).count();
        let on_trial = usize::from(self.is_on_trial);
        let (outputs, services) = (self.services.len(), self.services.len());
        let keys = self.inputs.values().filter(|has_key| **has_key).count();
        // A client may leave a program with PID 1; who asked for a trial is a client and held once more.
        let (clients, programs) = (32 + on_trial, 32 + rehearsals + on_trial);
        let (readers, gates) = (outputs + services + rehearsals, mains + rehearsals);
        let most = [mains, readers, outputs, keys, clients, 1, gates, 0, mains, programs];
        let words = [
            "channels",
            "readers",
            "writers",
            "keys",
            "clients",
            "/dev/null",
            "gates",
            "folders",
            "lent",
            "programs",
        ];
        for ((found, most), word) in found.into_iter().zip(most).zip(words) {
            demand(Invariant::Leak, found <= most, || {
                format!("PID 1 holds {found} {word}, and needs {most}")
            })?;
        }
        let single = self.descriptors.len() - found.iter().sum::<usize>();
        demand(Invariant::Leak, single <= 8, || {
            format!("PID 1 holds {single} descriptors of which it needs one each")
        })
    }

    /// After the peace: all that was wished is so.
    fn is_well(&self) -> Result<(), Broken> {
        self.judge.settled()?;
        for (name, spec) in self.specs.iter() {
            let of_it = |process: &&super::Process| {
                process.service.as_ref() == Some(name) && process.ended.is_none()
            };
            let main = self.processes.values().filter(of_it).find(|process| process.is_main);
            // Nobody ever hears whether one is ready that has no way to say so.
            let is_mute =
                !(spec.ready.notify || spec.ready.newline) && spec.readiness_check().is_none();
            let works = |main: &super::Process| {
                (main.is_ready || is_mute) && !main.is_blocked && !main.is_hung
            };
            let is_up = main.is_some_and(works);
            demand(Invariant::Wish, is_up || spec.kind != Kind::Service, || {
                format!("{name} is wanted and does not work: {main:?}")
            })?;
            let left = self.processes.values().filter(of_it).find(|process| {
                process.cgroup.starts_with("system/")
                    && process.start != self.starts[name]
                    && spec.stop.kill == kubermesh_node::service::spec::Kill::Group
            });
            demand(Invariant::One, left.is_none(), || format!("an earlier run left {left:?}"))?;
        }
        for (name, before) in &self.promised {
            let starts = self.starts.get(name);
            demand(Invariant::Wish, starts > Some(before), || {
                format!("the restart of {name} was promised at start {before}")
            })?;
        }
        let unloaded = self.aliases.iter().find(|alias| !self.loaded.contains(*alias));
        demand(Invariant::Wish, unloaded.is_none(), || format!("{unloaded:?} was never loaded"))?;
        self.all_is_told()
    }

    /// What workers know and PID 1 knows is the same.
    fn all_is_told(&self) -> Result<(), Broken> {
        let workers = self.processes.values().filter_map(|process| process.worker.as_ref());
        for shown in workers.filter_map(|worker| worker.status.as_ref()) {
            demand(Invariant::Wish, *shown == self.status, || {
                format!("it shows {shown}, and the node is {}", self.status)
            })?;
        }
        let runs_pods = self.specs.iter().any(|(_, spec)| spec.pods.is_some());
        demand(Invariant::Wish, !runs_pods || self.status.phase == Phase::Ready, || {
            format!("all is well, and the node says {}", self.status)
        })
    }
}
