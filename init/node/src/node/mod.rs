// SPDX-License-Identifier: Apache-2.0
//! The node as a whole: events in, effects out.
//!
//! ```text
//! Event ─► facts · services (supervisor) · the way down ─► Effects
//!                          └─► summary ─► Status ─► light, console, kernel log
//! ```
//!
//! [`Node`] is a plain value: PID 1 writes it and the events since down, and after a crash of its own
//! goes on from there.

mod answer;
mod orders;
mod services;
mod summary;
mod supervisor;
mod taken;
mod watch;
mod way_down;

use serde::{Deserialize, Serialize};

use crate::brief::brief;
use crate::channel::{
    LightsReport, LogReport, NetworkReport, Order, PodsReport, Report, StorageReport, Wrong,
};
use crate::config::Config;
use crate::effect::{self, Effect};
use crate::event::Event;
use crate::identity::Identity;
use crate::plan::{self, Plan};
use crate::service::spec::Kill;
use crate::service::{Catalog, ServiceName, SpecError};
use crate::status::{Fault, Status};
use crate::time::{Span, Time};

use orders::{LOG, SHOWS_STATUS};
use services::Services;
use watch::Watch;
use way_down::WayDown;

/// The node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    services: Services,
    facts: Facts,
    plan: Option<Plan>,
    /// Files that were refused: services, node.toml.
    refusals: Vec<Wrong>,
    status: Status,
    way_down: Option<WayDown>,
    watch: Watch,
    recoveries: u32,
    /// When the last crash, of PID 1 or the kernel, is no fault any more.
    steady_at: Option<Time>,
    version: String,
}

/// What the workers said last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Facts {
    network: NetworkReport,
    pods: Option<PodsReport>,
    lights: LightsReport,
    log: LogReport,
    storage: Option<StorageReport>,
}

impl Node {
    /// A node with these services, of which nothing is known yet.
    #[must_use]
    pub fn new(catalog: Catalog, refused: &[SpecError], version: &str) -> Self {
        let wrong = |refusal: &SpecError| Wrong {
            subject: "service file".into(),
            sentence: chain(refusal),
        };
        Self {
            services: Services::new(catalog),
            facts: Facts::default(),
            plan: None,
            refusals: refused.iter().map(wrong).collect(),
            status: Status::at_start(),
            way_down: None,
            watch: Watch::default(),
            recoveries: 0,
            steady_at: None,
            version: version.to_owned(),
        }
    }

    /// Answers one event with what to do about it.
    pub fn step(&mut self, event: Event, now: Time) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Begun => effects.push(Effect::Say(self.status.to_string())),
            Event::Recovered { cause } => {
                self.recoveries = self.recoveries.saturating_add(1);
                self.crashed(PID_1, format!("recovered from {cause}"), now);
                let words = format!("PID 1 recovered from {cause}, its services live on");
                self.lives_again(words, &mut effects);
            }
            Event::Upgraded { version, refusal } => {
                let mut words = format!("PID 1 is init {version} now, its services live on");
                if let Some(cause) = refusal {
                    words = format!("PID 1 is still init {version}, no other took over: {cause}");
                    self.crashed(PID_1, format!("no other init took over: {cause}"), now);
                }
                self.version = version;
                self.lives_again(words, &mut effects);
            }
            Event::Spawned { service, instance, pid } => {
                self.spawned(&service, instance, pid, now, &mut effects)
            }
            Event::SpawnFailed { service, instance, sentence } => {
                self.ended(&service, instance, false, &sentence, now, &mut effects);
            }
            Event::Ready { service, instance } => self.ready(&service, instance, now, &mut effects),
            Event::Ended { service, instance, end } => {
                let success = end == crate::event::End::Exit(0);
                self.ended(&service, instance, success, &end.to_string(), now, &mut effects);
            }
            Event::Reported { worker, report } => self.reported(&worker, report, now, &mut effects),
            Event::OutputLost { service, bytes } => self.output_lost(&service, bytes),
            Event::Asked { client, request, is_root } => {
                self.asked(client, &request, is_root, now, &mut effects)
            }
            Event::Leave(goal) => self.leave(goal, now, &mut effects),
            Event::Clock => self.clock(now, &mut effects),
            Event::WatchdogTick => self.tick(now, &mut effects),
        }
        self.forget_crash(now);
        self.advance(now, &mut effects);
        self.go_down(now, &mut effects);
        self.summarise(now, &mut effects);
        effect::starts_first(effects)
    }

    /// When `Event::Clock` is due next.
    #[must_use]
    pub fn next_wake(&self) -> Option<Time> {
        let way_down = self.way_down.as_ref().and_then(WayDown::wakes_at);
        self.services.next_alarm().into_iter().chain(way_down).chain(self.steady_at).min()
    }

    /// How the node is.
    #[must_use]
    pub const fn status(&self) -> &Status {
        &self.status
    }

    /// The main process of each service that has one: after a crash, whom to look for.
    pub fn processes(&self) -> impl Iterator<Item = (&ServiceName, u64, Option<u32>)> {
        let alive = self.services.iter().filter(|(_, service)| !service.life.is_down());
        alive.map(|(name, service)| (name, service.life.instance, service.pid))
    }

    /// Every service's name, in order.
    pub fn names(&self) -> impl Iterator<Item = &ServiceName> {
        self.services.names()
    }

    /// Whether a service is a worker: its descriptor 3 is a channel.
    #[must_use]
    pub fn is_worker(&self, service: &ServiceName) -> bool {
        self.services.get(service).is_some_and(|found| found.spec.worker)
    }

    /// A service's cgroup below the root.
    #[must_use]
    pub fn cgroup(&self, service: &ServiceName) -> Option<String> {
        self.services.get(service).map(|found| found.cgroup(service))
    }

    /// That, where nothing in it outlives a run of the service.
    #[must_use]
    pub fn killed_cgroup(&self, service: &ServiceName) -> Option<String> {
        let found = self.services.get(service)?;
        (found.spec.stop.kill == Kill::Group).then(|| found.cgroup(service))
    }

    /// A new life of PID 1 holds no more than its descriptors.
    fn lives_again(&self, words: String, effects: &mut Vec<Effect>) {
        effects.push(Effect::Say(words));
        effects.push(Effect::KeepOutput(!self.is_log_up()));
        effects.extend(self.lost_runs());
    }

    fn crashed(&mut self, subject: &str, sentence: String, now: Time) {
        self.steady_at = Some(now.after(STEADY_AFTER));
        self.refusals.retain(|wrong| wrong.subject != subject);
        self.refusals.push(Wrong { subject: subject.into(), sentence });
    }

    /// A node that has run well since is not degraded until somebody starts it again; `recoveries`
    /// in the status and the log keep what was.
    fn forget_crash(&mut self, now: Time) {
        if self.steady_at.is_some_and(|at| at <= now) {
            self.steady_at = None;
            self.refusals.retain(|wrong| ![PID_1, KERNEL].contains(&wrong.subject.as_str()));
        }
    }

    fn reported(
        &mut self,
        worker: &ServiceName,
        report: Report,
        now: Time,
        effects: &mut Vec<Effect>,
    ) {
        match taken::within_bounds(report) {
            Report::Pong { number } => self.watch.pong(number),
            Report::Network(network) => self.facts.network = network,
            Report::Pods(pods) => self.facts.pods = Some(pods),
            Report::Lights(lights) => self.facts.lights = lights,
            Report::Log(log) => self.facts.log = log,
            Report::Health(health) => self.health(worker, &health, now, effects),
            Report::Storage(storage) => self.stored(worker, storage, now, effects),
        }
    }

    /// Storage says who this node is and what its owner wishes: now the plan can be made.
    fn stored(
        &mut self,
        worker: &ServiceName,
        storage: StorageReport,
        now: Time,
        effects: &mut Vec<Effect>,
    ) {
        let subject = format!("service {worker}");
        self.refusals.retain(|wrong| wrong.subject != NODE_TOML && wrong.subject != subject);
        let identity: Result<Identity, _> = storage.identity.parse();
        if let Some(sentence) = storage.crash.clone() {
            self.crashed(KERNEL, sentence, now);
        }
        let config = self.configured(storage.node_toml.as_deref().unwrap_or_default());
        self.facts.storage = Some(storage);
        effects.extend(self.tell(LOG, Order::Stored));
        let identity = match identity {
            Ok(identity) => identity,
            Err(refusal) => {
                self.refusals.push(Wrong { subject, sentence: chain(&refusal) });
                return;
            }
        };
        let plan = Plan::new(identity, &config);
        effects.extend(files(&plan));
        effects.push(Effect::SetHostname(plan.hostname.clone()));
        effects.push(Effect::Say(format!(
            "this is {}, {}, router {}",
            plan.hostname, plan.mesh.address, plan.mesh.router_id
        )));
        self.plan = Some(plan);
    }

    /// The owner's wishes, as far as they can be read; what cannot is told.
    fn configured(&mut self, node_toml: &str) -> Config {
        let (config, refused) = Config::forgiving(NODE_TOML, node_toml);
        let mut sentences: Vec<String> = refused.iter().map(|refusal| chain(refusal)).collect();
        if config.mesh.prefix.is_none() {
            sentences
                .push("no [mesh] prefix of its own: uses the one of all who chose none".into());
        }
        let wrong = |sentence| Wrong { subject: NODE_TOML.into(), sentence };
        self.refusals.extend(sentences.into_iter().map(wrong));
        config
    }

    fn summarise(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let mut next = summary::of(self);
        let phase_kept = next.phase == self.status.phase;
        next.since = if phase_kept { self.status.since } else { now };
        let moments: Vec<Time> =
            next.faults.iter().map(|fault| self.since_when(fault, &next.faults, now)).collect();
        for (fault, since) in next.faults.iter_mut().zip(moments) {
            fault.since = since;
        }
        next.faults.sort_by_key(|fault| fault.since);
        if next == self.status {
            return;
        }
        if next.to_string() != self.status.to_string() {
            effects.push(Effect::Say(next.to_string()));
        }
        let news = next.faults.iter().filter(|fault| !has(&self.status.faults, fault));
        effects.extend(
            news.map(|fault| Effect::Say(format!("fault: {}: {}", fault.subject, fault.sentence))),
        );
        self.status = next;
        effects.extend(
            SHOWS_STATUS
                .iter()
                .filter_map(|worker| self.tell(worker, Order::Status(self.status.clone()))),
        );
    }

    /// Since when there is this fault among `all`: one whose words have changed is no new one.
    fn since_when(&self, fault: &Fault, all: &[Fault], now: Time) -> Time {
        let old = &self.status.faults;
        let same = old.iter().find(|known| is_same(known, fault));
        let was = || {
            let left = |known: &&Fault| known.subject == fault.subject && !has(all, known);
            old.iter().find(left)
        };
        same.or_else(was).map_or(now, |known| known.since)
    }
}

/// The owner's file, by which its faults are told.
const NODE_TOML: &str = "node.toml";

const PID_1: &str = "PID 1";
const KERNEL: &str = "kernel";

/// Long enough that a person who looks after the light sees it; a crash that comes daily still shows.
const STEADY_AFTER: Span = Span::from_secs(3600);

fn is_same(one: &Fault, other: &Fault) -> bool {
    one.subject == other.subject && one.sentence == other.sentence
}

fn has(faults: &[Fault], wanted: &Fault) -> bool {
    faults.iter().any(|fault| is_same(fault, wanted))
}

/// An error with its causes, as one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    brief(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The files that follow from the plan.
fn files(plan: &Plan) -> Vec<Effect> {
    let hosts = format!(
        "127.0.0.1 localhost\n::1 localhost ip6-localhost\n{} {}\n",
        plan.mesh.address, plan.hostname
    );
    let mut all = vec![
        ("/etc/hostname", format!("{}\n", plan.hostname)),
        ("/etc/machine-id", format!("{}\n", plan.identity.machine_id())),
        ("/etc/hosts", hosts),
    ];
    if let Ok(text) = serde_json::to_string_pretty(plan) {
        all.push((plan::FILE, text));
    }
    all.into_iter().map(|(path, text)| Effect::WriteFile { path: path.into(), text }).collect()
}

#[cfg(test)]
mod tests;
