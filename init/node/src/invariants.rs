// SPDX-License-Identifier: Apache-2.0
//! What holds whatever happens, written once: docs/invariants.md in prose, here in code.
//!
//! ```text
//! any order of events (proptest) ─┐
//! all orders (exhaustive)         ├─► Judge::hears, Judge::decides ─► Ok, or which invariant broke
//! the simulated kernel ───────────┘
//! ```
//!
//! The judge sees what the node hears and what it decides, and believes nothing that the node
//! says of itself. What is deliberately absent: a use on a node. Nothing here is in PID 1's program.

use std::collections::{BTreeMap, BTreeSet};

use crate::channel::Report;
use crate::control::Request;
use crate::effect::Effect;
use crate::event::{End, Event};
use crate::node::Node;
use crate::service::spec::Kind;
use crate::service::{Catalog, ServiceName, ServiceSpec};
use crate::time::{Span, Time};

/// What holds. The words are those of docs/invariants.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invariant {
    /// A run begins only after each that it waits for has once been ready.
    Order,
    /// There is one run of a service at a time.
    One,
    /// What was accepted is done.
    Wish,
    /// A stop ends, and the way down with it.
    Stop,
    /// No descriptor, process or question is forgotten.
    Leak,
    /// Who does not move does not feed the watchdog; who moves does.
    Watchdog,
    /// PID 1 goes on: no panic, no idle spinning, no sleep while there is work.
    Alive,
}

/// Every invariant, in the order of the page.
pub const ALL: [Invariant; 7] = [
    Invariant::Order,
    Invariant::One,
    Invariant::Wish,
    Invariant::Stop,
    Invariant::Leak,
    Invariant::Watchdog,
    Invariant::Alive,
];

impl Invariant {
    /// In one sentence.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Order => "nothing starts before what it waits for",
            Self::One => "no two instances of a service run",
            Self::Wish => "a wish is never lost",
            Self::Stop => "a stop ends",
            Self::Leak => "a descriptor or pid is never leaked",
            Self::Watchdog => "the watchdog is not fed by a node that no longer moves",
            Self::Alive => "PID 1 neither panics nor spins nor oversleeps",
        }
    }
}

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {what}", invariant.sentence())]
pub struct Broken {
    /// Which.
    pub invariant: Invariant,
    /// By what.
    pub what: String,
}

/// Longer than this no deadline of the node may be overdue when the watchdog is fed.
const OVERDUE: Span = Span::from_secs(10);

/// Watches a node.
#[derive(Clone, Debug)]
pub struct Judge {
    specs: Catalog,
    /// Runs that were begun and have not ended.
    alive: BTreeMap<ServiceName, u64>,
    pids: BTreeMap<u32, ServiceName>,
    /// The last run begun of each.
    latest: BTreeMap<ServiceName, u64>,
    been_up: BTreeSet<ServiceName>,
    /// Restarts that were accepted: a run later than this one must come.
    wishes: BTreeMap<ServiceName, u64>,
    /// Who asks in this step, and for which restart after which run.
    asked: Option<(u64, Option<(ServiceName, u64)>)>,
    /// This step is the watchdog's tick; whether a deadline of the node is overdue at it.
    tick: Option<bool>,
    goes_down: bool,
    has_left: bool,
}

impl Judge {
    /// Watches a node with these services from its beginning.
    #[must_use]
    pub fn new(specs: Catalog) -> Self {
        Self {
            specs,
            alive: BTreeMap::new(),
            pids: BTreeMap::new(),
            latest: BTreeMap::new(),
            been_up: BTreeSet::new(),
            wishes: BTreeMap::new(),
            asked: None,
            tick: None,
            goes_down: false,
            has_left: false,
        }
    }

    /// The node, as it is now, is about to be told of this.
    pub fn hears(&mut self, event: &Event, node: &Node, now: Time) {
        self.tick = None;
        self.asked = None;
        match event {
            Event::Spawned { service, instance, pid } => {
                if self.alive.get(service) == Some(instance) {
                    self.pids.insert(*pid, service.clone());
                }
                // It is up as soon as it runs: its file names no way to tell.
                self.is_ready(service, *instance, |spec| spec.ready.ways() == 0);
            }
            Event::SpawnFailed { service, instance, .. } => self.is_gone(service, *instance),
            Event::Ended { service, instance, end } => {
                self.has_succeeded(service, *instance, *end);
                self.is_gone(service, *instance);
            }
            Event::Ready { service, instance } => {
                self.is_ready(service, *instance, |spec| spec.ready.notify || spec.ready.newline);
            }
            Event::Reported { report: Report::Health(health), .. } if health.healthy => {
                self.is_ready(&health.service, health.instance, |_| true);
            }
            Event::Asked { client, request, is_root } => self.is_asked(*client, request, *is_root),
            Event::Leave(_) => self.goes_down = true,
            Event::WatchdogTick => {
                let is_late = |due: Time| due.after(OVERDUE) < now;
                self.tick = Some(node.next_wake().is_some_and(is_late));
            }
            Event::Begun
            | Event::Recovered { .. }
            | Event::Upgraded { .. }
            | Event::Reported { .. }
            | Event::OutputLost { .. }
            | Event::Clock => {}
        }
    }

    fn is_asked(&mut self, client: u64, request: &Request, is_root: bool) {
        let mut restart = None;
        match request {
            Request::Restart { service } if is_root => {
                let latest = self.latest.get(service).copied().unwrap_or(0);
                restart = Some((service.clone(), latest));
            }
            Request::Reboot {} | Request::PowerOff {} => self.goes_down |= is_root,
            Request::Restart { .. }
            | Request::Status {}
            | Request::Why {}
            | Request::Services {}
            | Request::Links {}
            | Request::Light {}
            | Request::Identify { .. }
            | Request::UpgradeInit {} => {}
        }
        self.asked = Some((client, restart));
    }

    /// This run is ready, where its service says so in such a way. A task is up when it is done.
    fn is_ready(
        &mut self,
        service: &ServiceName,
        instance: u64,
        tells_so: impl Fn(&ServiceSpec) -> bool,
    ) {
        let spec = self.specs.spec(service);
        let counts = spec.is_some_and(|spec| spec.kind == Kind::Service && tells_so(spec));
        if counts && self.alive.get(service) == Some(&instance) {
            self.been_up.insert(service.clone());
        }
    }

    fn has_succeeded(&mut self, service: &ServiceName, instance: u64, end: End) {
        let is_task = self.specs.spec(service).is_some_and(|spec| spec.kind != Kind::Service);
        if is_task && end == End::Exit(0) && self.alive.get(service) == Some(&instance) {
            self.been_up.insert(service.clone());
        }
    }

    fn is_gone(&mut self, service: &ServiceName, instance: u64) {
        if self.alive.get(service) == Some(&instance) {
            self.alive.remove(service);
            self.pids.retain(|_, name| name != service);
        }
    }

    /// The node, as it is now, decided this.
    ///
    /// # Errors
    /// Which invariant broke.
    pub fn decides(&mut self, effects: &[Effect], node: &Node) -> Result<(), Broken> {
        for effect in effects {
            self.judge(effect)?;
        }
        let asker = self.asked.as_ref().map(|(client, _)| *client);
        demand(Invariant::Wish, asker.is_none(), || format!("client {asker:?} gets no answer"))?;
        let feeds = effects.contains(&Effect::FeedWatchdog);
        let is_late = self.tick == Some(true);
        demand(Invariant::Watchdog, !feeds || self.tick == Some(false), || {
            let due = node.next_wake();
            format!("it is fed out of turn, or while a deadline is overdue; the next: {due:?}")
        })?;
        demand(Invariant::Watchdog, feeds || is_late || self.tick.is_none(), || {
            "a node that moves does not feed it".into()
        })?;
        let sentence = &node.status().sentence;
        demand(Invariant::Wish, !sentence.is_empty(), || "the status says nothing".into())
    }

    fn judge(&mut self, effect: &Effect) -> Result<(), Broken> {
        match effect {
            Effect::Spawn(launch) => {
                let name = &launch.service;
                self.begins(name, launch.instance)
            }
            Effect::Terminate { pid, .. } | Effect::KillMain { pid } => {
                demand(Invariant::One, self.pids.contains_key(pid), || {
                    format!("process {pid} is signalled, and is gone already")
                })
            }
            Effect::Tell { worker, order } => {
                let hears = self.pids.values().any(|name| name == worker);
                demand(Invariant::Wish, hears, || format!("{worker} has no process: {order:?}"))
            }
            Effect::Answer { client, reply } => {
                let asked = self.asked.take_if(|(asker, _)| asker == client);
                let granted = asked.and_then(|(_, restart)| restart);
                self.wishes.extend(granted.filter(|_| reply.error.is_none()));
                Ok(())
            }
            // Whoever performs it answers.
            Effect::Rehearse { client } => {
                self.asked.take_if(|(asker, _)| asker == client);
                Ok(())
            }
            Effect::Leave(_) => {
                let again = std::mem::replace(&mut self.has_left, true);
                demand(Invariant::Stop, !again, || "it leaves twice".into())
            }
            Effect::KillGroup { .. }
            | Effect::FeedWatchdog
            | Effect::KeepOutput(_)
            | Effect::WriteFile { .. }
            | Effect::SetHostname(_)
            | Effect::Say(_) => Ok(()),
        }
    }

    fn begins(&mut self, name: &ServiceName, instance: u64) -> Result<(), Broken> {
        let spec = self.specs.spec(name);
        let early =
            spec.and_then(|spec| spec.after.iter().find(|wanted| !self.been_up.contains(*wanted)));
        demand(Invariant::Order, early.is_none(), || {
            format!("{name} starts and {} was never ready", early.map_or("", ServiceName::as_str))
        })?;
        let twin = self.alive.insert(name.clone(), instance);
        self.latest.insert(name.clone(), instance);
        demand(Invariant::One, twin.is_none(), || {
            format!("{name} {instance} starts while {twin:?} lives")
        })
    }

    /// Everything is healed, and the node had time: whoever is wanted is up.
    ///
    /// # Errors
    /// Which service is not, or which wish was not granted.
    pub fn settled(&self) -> Result<(), Broken> {
        if self.goes_down {
            return demand(Invariant::Stop, self.has_left, || "the way down has not ended".into());
        }
        for (name, spec) in self.specs.iter() {
            let (is_task, lives) = (spec.kind != Kind::Service, self.alive.contains_key(name));
            let is_up = self.been_up.contains(name) && (is_task || lives);
            demand(Invariant::Wish, is_up || spec.kind == Kind::Stop, || {
                format!("{name} is wanted and is not up")
            })?;
        }
        for (name, before) in &self.wishes {
            let latest = self.latest.get(name);
            demand(Invariant::Wish, latest.is_some_and(|latest| latest > before), || {
                format!("{name} was to be restarted after run {before}")
            })?;
        }
        Ok(())
    }

    /// Whether a restart of it was accepted and has not come yet.
    #[must_use]
    pub fn is_owed(&self, service: &ServiceName) -> bool {
        self.wishes.get(service).is_some_and(|before| self.latest.get(service) <= Some(before))
    }

    /// Whether the way down has begun.
    #[must_use]
    pub const fn goes_down(&self) -> bool {
        self.goes_down
    }

    /// Whether the machine was left.
    #[must_use]
    pub const fn has_left(&self) -> bool {
        self.has_left
    }
}

/// An invariant holds, or this is why not.
///
/// # Errors
/// It does not.
pub fn demand(
    invariant: Invariant,
    holds: bool,
    what: impl FnOnce() -> String,
) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(Broken { invariant, what: what() }) }
}
