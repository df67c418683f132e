// SPDX-License-Identifier: Apache-2.0
//! Every order of events, for three services, to a stated depth from their boot and from all being up: breadth first,
//! each state once. From every state that is found the node comes to rest with all that was wished, and goes down.
//!
//! `DEPTH` goes deeper, or less deep.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::story::{asks, health};
use crate::control::Request;
use crate::effect::Effect;
use crate::event::{End, Event, Goal};
use crate::invariants::{Broken, Judge};
use crate::node::Node;
use crate::service::life::State;
use crate::service::{Catalog, ServiceName};
use crate::time::Time;

/// Three services each: how they wait for each other, what kinds they are, how they are ended.
const CATALOGS: [(&str, [(&str, &str); 3]); 5] = [
    ("a chain of services", [("a.toml", SPEAKS), ("b.toml", AFTER_A), ("c.toml", AFTER_B)]),
    ("a task in the middle", [("a.toml", SPEAKS), ("b.toml", TASK_AFTER_A), ("c.toml", AFTER_B)]),
    ("two that a third waits for", [("a.toml", SPEAKS), ("b.toml", TASK), ("c.toml", AFTER_BOTH)]),
    ("one whose children outlive it", [("a.toml", MAIN), ("b.toml", AFTER_A), ("c.toml", PLAIN)]),
    ("a task of the way down", [("a.toml", SPEAKS), ("b.toml", AFTER_A), ("c.toml", STOP)]),
];

const SPEAKS: &str =
    "command = [\"/a\"]\nready.notify = true\nrestart.rests = [\"1s\"]\nstop.stage = 2\n";
const AFTER_A: &str = "command = [\"/b\"]\nafter = [\"a\"]\nready.notify = true\nstop.stage = 1\n";
const AFTER_B: &str =
    "command = [\"/c\"]\nafter = [\"b\"]\nready.newline = true\nrestart.rests = [\"0s\"]\n";
const AFTER_BOTH: &str = "command = [\"/c\"]\nafter = [\"a\", \"b\"]\nready.notify = true\n";
const TASK: &str = "command = [\"/b\"]\nkind = \"task\"\nrestart.rests = [\"2s\", \"9s\"]\n";
const TASK_AFTER_A: &str = "command = [\"/b\"]\nkind = \"task\"\nafter = [\"a\"]\n";
const MAIN: &str =
    "command = [\"/a\"]\nready.notify = true\nstop = { kill = \"main\", stage = 3 }\n";
const PLAIN: &str = "command = [\"/c\"]\nrestart.rests = [\"1s\", \"5s\"]\n";
const STOP: &str = "command = [\"/c\"]\nkind = \"stop\"\nstop.stage = 7\n";

/// Without `DEPTH`: as deep as an unoptimised build comes in half a minute. From all being up it is one less.
const DEPTH: usize = 5;

/// What may happen next; a number is a service's.
#[derive(Clone, Copy, Debug)]
enum Step {
    Started(bool),
    Ends(usize, bool),
    Ready(usize),
    LateReady(usize),
    Unhealthy(usize),
    Restart(usize),
    Clock,
    /// The watchdog's, at a moment at which the next deadline is slept over.
    LateTick,
    Recovered,
    Leave,
}

#[derive(Clone)]
struct World {
    node: Node,
    judge: Judge,
    names: [ServiceName; 3],
    now: u64,
    /// Starts without an answer.
    starting: VecDeque<(ServiceName, u64)>,
    alive: BTreeMap<ServiceName, u64>,
    next_pid: u32,
}

impl World {
    fn new(files: &[(&str, &str); 3]) -> Self {
        let specs = Catalog::strict(files.iter().copied()).unwrap();
        let mut world = Self {
            node: Node::new(specs.clone(), &[], "1.2.3"),
            judge: Judge::new(specs),
            names: ["a", "b", "c"].map(|name| name.parse().unwrap()),
            now: 0,
            starting: VecDeque::new(),
            alive: BTreeMap::new(),
            next_pid: 1,
        };
        world.feed(Event::Begun).unwrap();
        world
    }

    fn feed(&mut self, event: Event) -> Result<(), Broken> {
        let now = Time::from_millis(self.now);
        self.judge.hears(&event, &self.node, now);
        let effects = self.node.step(event, now);
        self.judge.decides(&effects, &self.node)?;
        for effect in effects {
            if let Effect::Spawn(launch) = effect {
                self.starting.push_back((launch.service, launch.instance));
            }
        }
        Ok(())
    }

    /// What can happen here.
    fn steps(&self) -> Vec<Step> {
        let mut all = vec![Step::Clock, Step::LateTick, Step::Recovered, Step::Leave];
        if !self.starting.is_empty() {
            all.extend([Step::Started(true), Step::Started(false)]);
        }
        for (number, name) in self.names.iter().enumerate() {
            all.push(Step::Restart(number));
            if self.alive.contains_key(name) {
                all.extend([Step::Ends(number, true), Step::Ends(number, false)]);
                all.extend([Step::Ready(number), Step::LateReady(number), Step::Unhealthy(number)]);
            }
        }
        all
    }

    fn take(&mut self, step: Step) -> Result<(), Broken> {
        let of = |number: usize| self.names[number].clone();
        match step {
            Step::Started(succeeds) => self.started(succeeds),
            Step::Ends(number, success) => {
                let service = of(number);
                let Some(instance) = self.alive.remove(&service) else { return Ok(()) };
                let end = End::Exit(i32::from(!success));
                self.feed(Event::Ended { service, instance, end })
            }
            Step::Ready(number) => {
                let service = of(number);
                let instance = self.alive[&service];
                self.feed(Event::Ready { service, instance })
            }
            Step::LateReady(number) => {
                let service = of(number);
                let instance = self.alive[&service] - 1;
                self.feed(Event::Ready { service, instance })
            }
            Step::Unhealthy(number) => {
                let service = of(number);
                self.feed(health(service.as_str(), self.alive[&service], false, "silent"))
            }
            Step::Restart(number) => self.feed(asks(Request::Restart { service: of(number) })),
            Step::Clock => {
                let due = self.node.next_wake().map_or(self.now + 1000, Time::as_millis);
                self.now = self.now.max(due);
                self.feed(Event::Clock)
            }
            Step::LateTick => {
                let due = self.node.next_wake().map_or(self.now, Time::as_millis);
                self.now = self.now.max(due + 10_001);
                self.feed(Event::WatchdogTick)
            }
            Step::Recovered => self.feed(Event::Recovered { cause: "SIGSEGV".into() }),
            Step::Leave => self.feed(Event::Leave(Goal::Reboot)),
        }
    }

    fn started(&mut self, succeeds: bool) -> Result<(), Broken> {
        let Some((service, instance)) = self.starting.pop_front() else { return Ok(()) };
        if !succeeds {
            let sentence = "no memory".into();
            return self.feed(Event::SpawnFailed { service, instance, sentence });
        }
        self.next_pid += 1;
        self.alive.insert(service.clone(), instance);
        self.feed(Event::Spawned { service, instance, pid: self.next_pid })
    }

    /// From here everybody behaves: starts succeed, whoever is asked ends, tasks succeed.
    fn comes_to_rest(mut self) -> Result<Self, Broken> {
        for _ in 0..200 {
            while !self.starting.is_empty() {
                self.started(true)?;
            }
            for number in 0..3 {
                let Some(service) = self.node.services.get(&self.names[number]) else { continue };
                let is_ending =
                    matches!(service.life.state, State::Stopping { .. } | State::Stuck { .. });
                let is_task = service.spec.kind != crate::service::spec::Kind::Service;
                if is_ending || is_task {
                    self.take(Step::Ends(number, true))?;
                } else if self.alive.contains_key(&self.names[number]) {
                    self.take(Step::Ready(number))?;
                }
            }
            if !self.starting.is_empty() {
                continue;
            }
            if self.node.next_wake().is_none() {
                break;
            }
            self.take(Step::Clock)?;
        }
        self.judge.settled()?;
        Ok(self)
    }

    fn goes_down(mut self) -> Result<(), Broken> {
        self.take(Step::Leave)?;
        for _ in 0..60 {
            while !self.starting.is_empty() {
                self.started(true)?;
            }
            self.take(Step::Clock)?;
        }
        self.judge.settled()
    }

    /// Two worlds with this in common have the same future: moments count from now, runs from the last.
    fn likeness(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let left = |at: Time| at.as_millis().saturating_sub(self.now);
        for (name, service) in self.node.services.iter() {
            let life = service.life;
            std::mem::discriminant(&life.state).hash(&mut hasher);
            life.wakes_at().map(left).hash(&mut hasher);
            match life.state {
                State::Stopping { force, then, .. } => {
                    format!("{force:?}{then:?}").hash(&mut hasher)
                }
                State::Stuck { then, .. } => format!("{then:?}").hash(&mut hasher),
                State::Running { since } => {
                    let lasts = self.now.saturating_sub(since.as_millis());
                    lasts.min(service.spec.restart.steady_after.as_millis()).hash(&mut hasher);
                }
                State::Stopped | State::Starting { .. } | State::Resting { .. } | State::Done => {}
            }
            let rests = u32::try_from(service.spec.restart.rests.len()).unwrap();
            life.failures.min(rests).hash(&mut hasher);
            (service.wanted, service.has_been_up, service.pid.is_some()).hash(&mut hasher);
            self.alive.get(name).map(|instance| life.instance - instance).hash(&mut hasher);
            self.judge.is_owed(name).hash(&mut hasher);
        }
        let starting = self.starting.iter().map(|(name, _)| name);
        starting.collect::<Vec<_>>().hash(&mut hasher);
        self.node.steady_at.map(left).hash(&mut hasher);
        let way = self.node.way_down.map(|way| (way.stage, left(way.until)));
        (way, self.judge.has_left()).hash(&mut hasher);
        hasher.finish()
    }
}

/// All states up to this depth from there on; how many.
fn explore(first: World, depth: usize) -> usize {
    let mut seen = BTreeSet::from([first.likeness()]);
    let mut edge = vec![(first, Vec::new())];
    for _ in 0..depth {
        let mut next = Vec::new();
        for (world, path) in edge {
            for step in world.steps() {
                let mut after = world.clone();
                let mut path: Vec<Step> = Clone::clone(&path);
                path.push(step);
                let told = |broken: Broken| panic!("{broken}\nafter {path:?}");
                after.take(step).unwrap_or_else(told);
                if seen.insert(after.likeness()) {
                    after.clone().comes_to_rest().map_or_else(told, drop);
                    after.clone().goes_down().unwrap_or_else(told);
                    next.push((after, path));
                }
            }
        }
        edge = next;
    }
    seen.len()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how deep is the wish of whoever runs the tests")]
fn three_services_keep_the_invariants_in_every_order_of_events() {
    let depth = std::env::var("DEPTH").ok().and_then(|text| text.parse().ok()).unwrap_or(DEPTH);
    for (what, files) in &CATALOGS {
        let all_are_up = World::new(files).comes_to_rest().unwrap();
        // From there on more can happen.
        let less = depth.saturating_sub(1);
        let roots = [("its boot", World::new(files), depth), ("all being up", all_are_up, less)];
        for (from, first, depth) in roots {
            let states = explore(first, depth);
            println!("{what}, from {from} on: {states} states to depth {depth}");
            assert!(states > 100, "{what}, {from}: only {states} states");
        }
    }
}
