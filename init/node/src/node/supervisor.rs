// SPDX-License-Identifier: Apache-2.0
//! The services together: who is wanted, who may start, who has to hear what.

use serde::{Deserialize, Serialize};

use super::Node;
use super::watch::PROBE;
use crate::channel::HealthReport;
use crate::effect::{Effect, Launch};
use crate::service::life::{self, Life};
use crate::service::spec::{Kill, Kind};
use crate::service::{ServiceName, ServiceSpec, catalog, privileges};
use crate::time::Time;

/// A service: what it shall be, what is wanted of it, where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Service {
    pub(super) spec: ServiceSpec,
    pub(super) life: Life,
    pub(super) wanted: bool,
    /// Its main process while there is one.
    pub(super) pid: Option<u32>,
    /// Since when in this state.
    pub(super) since: Time,
    /// It has been up since the kernel started: whoever waited for it may start.
    pub(super) has_been_up: bool,
    /// Why its last run failed; empty once it is up.
    pub(super) last: String,
    /// What a check of this run heard last.
    pub(super) heard: String,
    pub(super) output: Output,
    /// Bytes of its output that were given up and not told yet.
    pub(super) output_lost: u64,
}

/// Who reads a service's output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Output {
    /// It has none yet: no run of it had a process.
    #[default]
    Absent,
    /// Nobody; PID 1 keeps the newest.
    Unread,
    /// The log worker has its pipe.
    Read,
}

impl Service {
    pub(super) fn new(spec: ServiceSpec) -> Self {
        let wanted = spec.kind != Kind::Stop;
        Self {
            spec,
            wanted,
            life: Life::default(),
            pid: None,
            since: Time::default(),
            has_been_up: false,
            last: String::new(),
            heard: String::new(),
            output: Output::default(),
            output_lost: 0,
        }
    }

    /// Why a run was given up that did not come up in its time.
    fn why_late(&self) -> String {
        match self.spec.kind {
            _ if !self.heard.is_empty() => self.heard.clone(),
            Kind::Service => format!("not ready within {}", self.spec.ready.within),
            Kind::Task => format!("not done within {}", self.spec.ready.within),
            Kind::Stop => format!("not done within {}", self.spec.stop.within),
        }
    }

    /// What its life wants done, and whether it has come up by this.
    fn step(&mut self, event: life::Event, now: Time) -> (Vec<life::Effect>, bool) {
        let (before, was_up) = (self.life, self.life.is_up());
        let wants = self.life.step(event, now, &self.spec);
        if self.life.state != before.state {
            self.since = now;
        }
        if self.life.instance != before.instance {
            self.heard.clear();
        }
        if event == life::Event::Clock && matches!(before.state, life::State::Starting { .. }) {
            self.last = self.why_late();
        }
        let came_up = self.life.is_up() && !was_up;
        self.has_been_up |= came_up;
        if came_up {
            self.last.clear();
        }
        (wants, came_up)
    }

    pub(super) fn cgroup(&self, name: &ServiceName) -> String {
        self.spec.resources.cgroup.clone().unwrap_or_else(|| format!("system/{name}"))
    }
}

impl Node {
    /// Starts all that is wanted and may start.
    pub(super) fn advance(&mut self, now: Time, effects: &mut Vec<Effect>) {
        if self.way_down.is_some() {
            return;
        }
        for name in self.services.startable() {
            self.step_life(&name, life::Event::Start, now, effects);
        }
    }

    pub(super) fn spawned(
        &mut self,
        name: &ServiceName,
        instance: u64,
        pid: u32,
        now: Time,
        effects: &mut Vec<Effect>,
    ) {
        if !self.is_run(name, instance) {
            return;
        }
        self.services.change(name, |service| service.pid = Some(pid));
        let Some(service) = self.services.get(name) else { return };
        let unheard = service.life.unheard(&service.spec);
        effects.extend(unheard.and_then(|want| self.translate(name, want)));
        let waits = service.spec.ready.ways() > 0 || service.spec.kind != Kind::Service;
        self.hand_over_output(name, effects);
        effects.extend(self.all_that_holds(name));
        if waits {
            effects.extend(self.look_at(name));
        } else {
            self.step_life(name, life::Event::Ready(instance), now, effects);
        }
    }

    pub(super) fn ready(
        &mut self,
        name: &ServiceName,
        instance: u64,
        now: Time,
        effects: &mut Vec<Effect>,
    ) {
        // containerd and kubelet say READY=1 before they answer: what the file names counts.
        let counts = |service: &Service| service.spec.ready.notify || service.spec.ready.newline;
        if self.services.get(name).is_some_and(counts) {
            self.step_life(name, life::Event::Ready(instance), now, effects);
        }
    }

    pub(super) fn ended(
        &mut self,
        name: &ServiceName,
        instance: u64,
        success: bool,
        how: &str,
        now: Time,
        effects: &mut Vec<Effect>,
    ) {
        if !self.is_run(name, instance) {
            return;
        }
        let had_process = self.services.change(name, |service| {
            let was_wanted = !matches!(service.life.state, life::State::Stopping { .. });
            let pid = service.pid.take();
            if was_wanted {
                how.clone_into(&mut service.last);
            }
            if service.spec.kind == Kind::Service && was_wanted {
                effects.push(Effect::Say(format!("service {name} ended: {how}")));
            }
            pid.is_some()
        });
        effects.extend(self.look_away_from(name));
        self.take_output_back(name, effects);
        if name.as_str() == PROBE {
            self.watch.forget();
        }
        self.step_life(name, life::Event::Ended { instance, success }, now, effects);
        // One that needs no rest starts at once. Who got no process tries again when all others were heard.
        let is_due = |service: &Service| service.life.wakes_at().is_some_and(|at| at <= now);
        if had_process == Some(true) && self.services.get(name).is_some_and(is_due) {
            self.step_life(name, life::Event::Clock, now, effects);
        }
    }

    pub(super) fn health(
        &mut self,
        worker: &ServiceName,
        report: &HealthReport,
        now: Time,
        effects: &mut Vec<Effect>,
    ) {
        let name = &report.service;
        if !self.is_run(name, report.instance) {
            return;
        }
        let is_up = self.services.get(name).is_some_and(|service| service.life.is_up());
        if report.healthy {
            self.step_life(name, life::Event::Ready(report.instance), now, effects);
        } else if is_up || name == worker {
            // Of itself a worker, or PID 1 in its name, says so only for good.
            self.unhealthy(name, report.instance, &report.sentence, now, effects);
        } else {
            self.services.change(name, |service| service.heard.clone_from(&report.sentence));
        }
    }

    /// A run that was up answers no longer.
    pub(super) fn unhealthy(
        &mut self,
        name: &ServiceName,
        instance: u64,
        sentence: &str,
        now: Time,
        effects: &mut Vec<Effect>,
    ) {
        self.services.change(name, |service| sentence.clone_into(&mut service.last));
        effects.push(Effect::Say(format!("service {name} is unhealthy: {sentence}")));
        self.step_life(name, life::Event::Unhealthy(instance), now, effects);
    }

    pub(super) fn clock(&mut self, now: Time, effects: &mut Vec<Effect>) {
        for name in self.services.due(now) {
            self.step_life(&name, life::Event::Clock, now, effects);
        }
    }

    pub(super) fn step_life(
        &mut self,
        name: &ServiceName,
        event: life::Event,
        now: Time,
        effects: &mut Vec<Effect>,
    ) {
        let stepped = self.services.change(name, |service| service.step(event, now));
        let Some((wants, came_up)) = stepped else { return };
        effects.extend(wants.into_iter().filter_map(|want| self.translate(name, want)));
        if came_up {
            self.came_up(name, effects);
        }
        if self.services.get(name).is_some_and(|service| service.life.is_stuck()) {
            self.take_output_back(name, effects);
        }
    }

    fn is_run(&self, name: &ServiceName, instance: u64) -> bool {
        self.services.get(name).is_some_and(|service| service.life.instance == instance)
    }

    /// Ends what the crashed life of PID 1 may have started and not written down: where nothing
    /// runs by the record, nothing may run.
    pub(super) fn lost_runs(&self) -> impl Iterator<Item = Effect> {
        let is_down = |(_, service): &(&ServiceName, &Service)| {
            service.life.is_down() && service.spec.stop.kill == Kill::Group
        };
        let down = self.services.iter().filter(is_down);
        down.map(|(name, service)| Effect::KillGroup { cgroup: service.cgroup(name) })
    }

    fn translate(&self, name: &ServiceName, want: life::Effect) -> Option<Effect> {
        let service = self.services.get(name)?;
        match want {
            life::Effect::Spawn(instance) => {
                Some(Effect::Spawn(Box::new(self.launch(name, service, instance))))
            }
            life::Effect::Terminate => {
                service.pid.map(|pid| Effect::Terminate { pid, signal: service.spec.stop.signal })
            }
            life::Effect::KillMain => service.pid.map(|pid| Effect::KillMain { pid }),
            life::Effect::KillGroup => Some(Effect::KillGroup { cgroup: service.cgroup(name) }),
            // The node's own next_wake looks at every life; no timer is kept for each.
            life::Effect::WakeAt(_) => None,
        }
    }

    fn launch(&self, name: &ServiceName, service: &Service, instance: u64) -> Launch {
        Launch {
            service: name.clone(),
            instance,
            command: self.command(name, &service.spec),
            environment: service.spec.environment.clone(),
            cgroup: service.cgroup(name),
            resources: service.spec.resources.clone(),
            worker: service.spec.worker,
            newline: service.spec.ready.newline,
        }
    }

    /// What is executed: the service's own command, or the launcher that confines and then becomes it.
    fn command(&self, name: &ServiceName, spec: &ServiceSpec) -> Vec<String> {
        let own = spec.command.iter().map(|argument| self.fill(argument));
        if !spec.confined.0 {
            return own.collect();
        }
        let file = format!("{}/{name}.toml", catalog::FOLDER);
        let launcher = privileges::LAUNCHER.iter().map(ToString::to_string);
        launcher.chain([file, "--".to_owned()]).chain(own).collect()
    }

    /// Replaces the placeholders of a command.
    fn fill(&self, argument: &str) -> String {
        let Some(plan) = self.plan.as_ref().filter(|_| argument.contains("${")) else {
            return argument.to_owned();
        };
        argument
            .replace("${node_address}", &plan.mesh.address.to_string())
            .replace("${hostname}", &plan.hostname)
            .replace("${router_id}", &plan.mesh.router_id.to_string())
    }
}
