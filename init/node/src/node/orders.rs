// SPDX-License-Identifier: Apache-2.0
//! What workers are told, and when: whom `probe` looks at, whose output `log` reads, and for one
//! that has just started all that still holds.

use super::Node;
use super::supervisor::{Output, Service};
use super::watch::PROBE;
use crate::channel::{Order, Watch, WatchPods};
use crate::effect::Effect;
use crate::service::ServiceName;
use crate::time::Span;

/// The worker that takes the services' output.
pub(super) const LOG: &str = "log";

/// The workers that show the status to people.
pub(super) const SHOWS_STATUS: [&str; 2] = ["light", "console"];

/// Between checks of a service that only says how it is seen to be ready.
const UNHEALTHY_EVERY: Span = Span::from_secs(5);

impl Service {
    fn watch(&self, name: &ServiceName) -> Option<Watch> {
        if self.life.is_down() {
            return None;
        }
        let check =
            if self.life.is_up() { self.spec.health_check() } else { self.spec.readiness_check() };
        let health = self.spec.health.as_ref();
        Some(Watch {
            service: name.clone(),
            instance: self.life.instance,
            check: check?,
            every: health.map_or(UNHEALTHY_EVERY, |health| health.every),
            timeout: health.map_or(UNHEALTHY_EVERY, |health| health.timeout),
            failures: health.map_or(1, |health| health.failures),
        })
    }

    fn watch_pods(&self) -> Option<WatchPods> {
        let pods = self.spec.pods.as_ref().filter(|_| self.has_been_up)?;
        Some(WatchPods {
            cri: pods.cri.clone(),
            manifests: pods.manifests.clone(),
            every: pods.every,
        })
    }
}

impl Node {
    /// Has `probe` look at this service, as its state asks for.
    pub(super) fn look_at(&self, name: &ServiceName) -> Option<Effect> {
        let watch = self.services.get(name)?.watch(name)?;
        self.tell(PROBE, Order::Watch(watch))
    }

    /// Ends the checks of a service that has any.
    pub(super) fn look_away_from(&self, name: &ServiceName) -> Option<Effect> {
        let spec = &self.services.get(name)?.spec;
        spec.readiness_check().or_else(|| spec.health_check())?;
        self.tell(PROBE, Order::Unwatch { service: name.clone() })
    }

    pub(super) fn came_up(&mut self, name: &ServiceName, effects: &mut Vec<Effect>) {
        let Some(service) = self.services.get(name) else { return };
        effects.extend(self.look_at(name).or_else(|| self.look_away_from(name)));
        effects
            .extend(service.watch_pods().and_then(|pods| self.tell(PROBE, Order::WatchPods(pods))));
        if name.as_str() == LOG {
            effects.push(Effect::KeepOutput(false));
            self.tell_what_is_lost(effects);
        }
    }

    /// Into the kernel's log, which is what the log worker reads.
    fn tell_what_is_lost(&mut self, effects: &mut Vec<Effect>) {
        let has_lost = |service: &Service| service.output_lost > 0;
        self.services.change_those(has_lost, |name, service| {
            let bytes = std::mem::take(&mut service.output_lost);
            let words = "bytes of its output are lost: no log worker read them";
            effects.push(Effect::Say(format!("service {name}: {bytes} {words}")));
        });
    }

    pub(super) fn output_lost(&mut self, name: &ServiceName, bytes: u64) {
        self.services.change(name, |service| {
            service.output_lost = service.output_lost.saturating_add(bytes);
        });
    }

    /// A run has a process, and so its service an output: it goes to the log worker, if there is one.
    pub(super) fn hand_over_output(&mut self, name: &ServiceName, effects: &mut Vec<Effect>) {
        if self.services.get(name).is_some_and(|service| service.output == Output::Absent) {
            self.services.change(name, |service| service.output = Output::Unread);
        }
        let Some((log, _)) = self.services.get_key_value(LOG).filter(|(_, log)| log.pid.is_some())
        else {
            return;
        };
        let worker = log.clone();
        let mut hand_over = |service: &ServiceName, found: &mut Service| {
            found.output = Output::Read;
            let (worker, order) = (worker.clone(), Order::Output { service: service.clone() });
            effects.push(Effect::Tell { worker, order });
        };
        let is_unread = |service: &Service| service.output == Output::Unread;
        if *name == worker {
            self.services.change_those(is_unread, hand_over);
        } else if self.services.get(name).is_some_and(is_unread) {
            self.services.change(name, |service| hand_over(name, service));
        }
    }

    /// The log worker is gone, or the kernel holds it: what it read nobody reads.
    pub(super) fn take_output_back(&mut self, gone: &ServiceName, effects: &mut Vec<Effect>) {
        if gone.as_str() != LOG {
            return;
        }
        let is_read = |service: &Service| service.output == Output::Read;
        self.services.change_those(is_read, |_, service| service.output = Output::Unread);
        effects.push(Effect::KeepOutput(true));
    }

    /// Whether the services' output is read by the log worker.
    pub(super) fn is_log_up(&self) -> bool {
        self.services.get(LOG).is_some_and(|log| log.life.is_up())
    }

    /// What a worker that has just started must know: every order that still holds.
    pub(super) fn all_that_holds(&self, name: &ServiceName) -> Vec<Effect> {
        let mut orders = Vec::new();
        if SHOWS_STATUS.contains(&name.as_str()) {
            orders.push(Order::Status(self.status.clone()));
        }
        if name.as_str() == PROBE {
            let watches = self.services.iter().filter_map(|(name, service)| service.watch(name));
            orders.extend(watches.map(Order::Watch));
            let pods = self.services.values().filter_map(Service::watch_pods);
            orders.extend(pods.map(Order::WatchPods));
        }
        if name.as_str() == LOG && self.facts.storage.is_some() {
            orders.push(Order::Stored);
        }
        orders.into_iter().map(|order| Effect::Tell { worker: name.clone(), order }).collect()
    }

    /// Tells a worker, if it has a process; one that starts later hears what still holds then.
    pub(super) fn tell(&self, worker: &str, order: Order) -> Option<Effect> {
        let (name, service) = self.services.get_key_value(worker)?;
        service.pid.map(|_| Effect::Tell { worker: name.clone(), order })
    }
}
