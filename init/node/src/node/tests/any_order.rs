// SPDX-License-Identifier: Apache-2.0
//! The invariants hold for any events in any order; the same events have the same effects, and a
//! node goes on from what was written down of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::story::{OWN_MESH, SMALL, asks, health, one_neighbour, pods_run, reports, stick};
use crate::channel::{NetworkReport, Report};
use crate::control::Request;
use crate::effect::{Effect, Launch};
use crate::event::{End, Event, Goal};
use crate::invariants::Judge;
use crate::node::Node;
use crate::service::life::State;
use crate::service::spec::Kind;
use crate::service::{Catalog, ServiceName};
use crate::status::Phase;
use crate::time::Time;

/// What may happen next. A number chooses among those to whom it can happen.
#[derive(Clone, Copy, Debug)]
enum Step {
    Wait(u64),
    Started {
        succeeds: bool,
    },
    Ends {
        who: usize,
        success: bool,
    },
    SaysReady {
        who: usize,
    },
    Health {
        who: usize,
        healthy: bool,
        runs_ago: u64,
    },
    Restart {
        who: usize,
    },
    Cable {
        plugged: bool,
    },
    Pods {
        run: bool,
    },
    Storage {
        good: bool,
    },
    Pong {
        number: u64,
    },
    /// The watchdog's tick; deadlines before it were slept over.
    Tick {
        late: u64,
    },
    Recovered,
    Leave(Goal),
}

/// A machine around a node: processes live until the story ends them.
struct Machine {
    node: Node,
    judge: Judge,
    now: u64,
    alive: BTreeMap<ServiceName, u64>,
    /// Starts that PID 1 has not answered yet.
    starting: VecDeque<Launch>,
    pids: BTreeMap<u32, ServiceName>,
    next_pid: u32,
    been_up: BTreeSet<ServiceName>,
    leaves: u32,
}

impl Machine {
    fn new() -> Self {
        let specs = Catalog::strict(SMALL.iter().copied()).unwrap();
        let node = Node::new(specs.clone(), &[], "1.2.3");
        let (alive, pids) = (BTreeMap::new(), BTreeMap::new());
        let (starting, been_up) = (VecDeque::new(), BTreeSet::new());
        let judge = Judge::new(specs);
        let mut machine =
            Self { node, judge, now: 0, alive, starting, pids, next_pid: 1, been_up, leaves: 0 };
        machine.feed(Event::Begun);
        machine
    }

    fn feed(&mut self, event: Event) {
        let now = Time::from_millis(self.now);
        let written = serde_json::to_string(&self.node).unwrap();
        let mut next_life: Node = serde_json::from_str(&written).unwrap();
        assert_eq!(next_life, self.node, "what was written down is another node");
        self.judge.hears(&event, &self.node, now);
        let effects = self.node.step(event.clone(), now);
        self.judge.decides(&effects, &self.node).unwrap();
        assert_eq!(next_life.step(event, now), effects, "the next life decides otherwise");
        let up = self.node.services.iter().filter(|(_, service)| service.life.is_up());
        self.been_up.extend(up.map(|(name, _)| name.clone()));
        for effect in effects {
            self.perform(effect);
        }
        self.judge();
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Spawn(launch) => {
                self.alive.insert(launch.service.clone(), launch.instance);
                self.starting.push_back(*launch);
            }
            Effect::Leave(_) => self.leaves += 1,
            Effect::Terminate { .. }
            | Effect::KillMain { .. }
            | Effect::KillGroup { .. }
            | Effect::Tell { .. }
            | Effect::KeepOutput(_)
            | Effect::Answer { .. }
            | Effect::Rehearse { .. }
            | Effect::WriteFile { .. }
            | Effect::SetHostname(_)
            | Effect::Say(_)
            | Effect::FeedWatchdog => {}
        }
    }

    fn judge(&self) {
        let status = self.node.status();
        let unmounted = self.been_up.iter().any(|name| name.as_str() == "unmount");
        assert!(status.phase != Phase::Stopped || unmounted, "{status}");
    }

    fn nth_alive(&self, number: usize) -> Option<(ServiceName, u64)> {
        let pids = self.pids.values();
        let name = pids.clone().nth(number.checked_rem(pids.len())?)?;
        Some((name.clone(), *self.alive.get(name)?))
    }

    fn end(&mut self, service: ServiceName, instance: u64, success: bool) {
        self.alive.remove(&service);
        self.pids.retain(|_, name| *name != service);
        self.feed(Event::Ended { service, instance, end: End::Exit(i32::from(!success)) });
    }

    fn started(&mut self, succeeds: bool) {
        let Some(Launch { service, instance, .. }) = self.starting.pop_front() else { return };
        if succeeds {
            self.next_pid += 1;
            self.pids.insert(self.next_pid, service.clone());
            self.feed(Event::Spawned { service, instance, pid: self.next_pid });
        } else {
            self.alive.remove(&service);
            self.feed(Event::SpawnFailed { service, instance, sentence: "no memory".into() });
        }
    }

    /// PID 1 wakes for what is due, and must not be woken for it for ever.
    fn wait(&mut self, milliseconds: u64) {
        self.now += milliseconds;
        for _ in 0..20 {
            if self.node.next_wake().is_none_or(|due| due > Time::from_millis(self.now)) {
                return;
            }
            self.feed(Event::Clock);
        }
        panic!("still due after twenty clocks: {:?} at {}", self.node.next_wake(), self.now);
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Wait(milliseconds) => self.wait(milliseconds),
            Step::Started { succeeds } => self.started(succeeds),
            Step::Ends { who, success } => {
                if let Some((service, instance)) = self.nth_alive(who) {
                    self.end(service, instance, success);
                }
            }
            Step::SaysReady { who } => {
                if let Some((service, instance)) = self.nth_alive(who) {
                    self.feed(Event::Ready { service, instance });
                }
            }
            Step::Health { who, healthy, runs_ago } => {
                if let Some((service, instance)) = self.nth_alive(who) {
                    let run = instance.saturating_sub(runs_ago);
                    self.feed(health(service.as_str(), run, healthy, "heard"));
                }
            }
            Step::Restart { who } => {
                let name = self.node.names().nth(who % SMALL.len()).unwrap().clone();
                self.feed(asks(Request::Restart { service: name }));
            }
            Step::Cable { plugged } => {
                let network = if plugged { one_neighbour() } else { NetworkReport::default() };
                self.feed(reports("net", Report::Network(network)));
            }
            Step::Pods { run } => self.feed(pods_run(u32::from(run), 1)),
            Step::Storage { good } => {
                let node_toml = if good { OWN_MESH } else { "nonsense" };
                self.feed(reports("storage", Report::Storage(stick(node_toml))));
            }
            Step::Pong { number } => self.feed(reports("probe", Report::Pong { number })),
            Step::Tick { late } => {
                self.now += late;
                self.feed(Event::WatchdogTick);
                self.wait(0);
            }
            Step::Recovered => self.feed(Event::Recovered { cause: "SIGSEGV".into() }),
            Step::Leave(goal) => self.feed(Event::Leave(goal)),
        }
    }

    /// From here everybody behaves, and all that is wanted or was wished comes.
    fn comes_to_rest(&mut self) {
        for _ in 0..200 {
            while !self.starting.is_empty() {
                self.started(true);
            }
            for (service, instance) in self.alive.clone() {
                let found = self.node.services.get(&service).unwrap();
                let is_ending =
                    matches!(found.life.state, State::Stopping { .. } | State::Stuck { .. });
                if is_ending || found.spec.kind != Kind::Service {
                    self.end(service, instance, true);
                } else if !found.life.is_up() {
                    self.feed(Event::Ready { service: service.clone(), instance });
                    self.feed(health(service.as_str(), instance, true, "heard"));
                }
            }
            match self.node.next_wake() {
                None if self.starting.is_empty() => break,
                Some(due) if self.starting.is_empty() => {
                    self.wait(due.as_millis().saturating_sub(self.now));
                }
                None | Some(_) => {}
            }
        }
        self.judge.settled().unwrap();
    }

    /// The way down to its end. `obeys`: processes end when they are asked; else none ever does.
    fn go_down(&mut self, obeys: bool) {
        self.feed(Event::Leave(Goal::PowerOff));
        for _ in 0..300 {
            if self.leaves > 0 {
                return;
            }
            while !self.starting.is_empty() {
                self.started(true);
            }
            if obeys && let Some((service, instance)) = self.nth_alive(0) {
                self.end(service, instance, true);
            }
            let due = self.node.next_wake().map_or(self.now, Time::as_millis);
            self.wait(due.saturating_sub(self.now));
        }
        panic!("the way down does not end: {}", self.node.status());
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    let (who, yes) = (0..12_usize, any::<bool>());
    prop_oneof![
        4 => (0..9000_u64).prop_map(Step::Wait),
        1 => (0..90_000_u64).prop_map(Step::Wait),
        8 => prop::bool::weighted(0.9).prop_map(|succeeds| Step::Started { succeeds }),
        4 => (who.clone(), yes).prop_map(|(who, success)| Step::Ends { who, success }),
        5 => who.clone().prop_map(|who| Step::SaysReady { who }),
        5 => (who.clone(), yes, 0..2_u64)
            .prop_map(|(who, healthy, runs_ago)| Step::Health { who, healthy, runs_ago }),
        2 => who.prop_map(|who| Step::Restart { who }),
        1 => yes.prop_map(|plugged| Step::Cable { plugged }),
        1 => yes.prop_map(|run| Step::Pods { run }),
        1 => yes.prop_map(|good| Step::Storage { good }),
        1 => (0..5_u64).prop_map(|number| Step::Pong { number }),
        2 => prop_oneof![Just(0), 0..30_000_u64].prop_map(|late| Step::Tick { late }),
        1 => Just(Step::Recovered),
        1 => prop_oneof![Just(Goal::Reboot), Just(Goal::PowerOff)].prop_map(Step::Leave),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_runs_do_not_overlap_and_the_way_down_ends(
        steps in prop::collection::vec(any_step(), 0..80),
        obeys in any::<bool>(),
    ) {
        let mut machine = Machine::new();
        for step in steps {
            machine.take(step);
        }
        if !machine.judge.goes_down() {
            machine.comes_to_rest();
        }
        machine.go_down(obeys);
        machine.judge.settled().unwrap();
        machine.feed(Event::Leave(Goal::Reboot));
        machine.wait(1_000_000);
        prop_assert_eq!(machine.leaves, 1);
    }
}
