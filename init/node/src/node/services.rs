// SPDX-License-Identifier: Apache-2.0
//! All services by name, and who of them needs attention: so that a turn costs what has changed in
//! it, and not what there is.
//!
//! A service is changed by [`Services::change`] alone, which keeps the lists true.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::supervisor::Service;
use crate::service::{Catalog, ServiceName};
use crate::time::Time;

/// The services.
#[derive(Clone, Debug, Default)]
pub(super) struct Services {
    all: BTreeMap<ServiceName, Service>,
    /// When whose deadline is due.
    alarms: BTreeSet<(Time, ServiceName)>,
    /// Wanted, and nothing of them runs.
    waiting: BTreeSet<ServiceName>,
    /// Of whom a fault may be told.
    unwell: BTreeSet<ServiceName>,
    /// Whoever runs pods, and all that it waits for, in the order of starting. Files do not change.
    needed: Vec<ServiceName>,
}

/// On which lists a service is.
#[derive(PartialEq, Eq)]
struct Marks {
    alarm: Option<Time>,
    waits: bool,
    is_unwell: bool,
}

impl Services {
    /// These services, each where it stands.
    pub(super) fn of(all: BTreeMap<ServiceName, Service>) -> Self {
        let mut services = Self { needed: needed_for_pods(&all), ..Self::default() };
        for (name, service) in &all {
            services.list(name, &service.marks());
        }
        Self { all, ..services }
    }

    /// Those of a catalog, before anything has happened.
    pub(super) fn new(catalog: Catalog) -> Self {
        let fresh = catalog.into_specs().map(|(name, spec)| (name, Service::new(spec)));
        Self::of(fresh.collect())
    }

    pub(super) fn get<N: Ord + ?Sized>(&self, name: &N) -> Option<&Service>
    where
        ServiceName: Borrow<N>,
    {
        self.all.get(name)
    }

    pub(super) fn get_key_value(&self, name: &str) -> Option<(&ServiceName, &Service)> {
        self.all.get_key_value(name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&ServiceName, &Service)> {
        self.all.iter()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Service> {
        self.all.values()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &ServiceName> {
        self.all.keys()
    }

    /// Changes a service; none of this name, none changed.
    pub(super) fn change<R>(
        &mut self,
        name: &ServiceName,
        change: impl FnOnce(&mut Service) -> R,
    ) -> Option<R> {
        let service = self.all.get_mut(name)?;
        let before = service.marks();
        let answer = change(service);
        let after = service.marks();
        if before != after {
            self.unlist(name, &before);
            self.list(name, &after);
        }
        Some(answer)
    }

    /// Changes each that `wants` it.
    pub(super) fn change_those(
        &mut self,
        wants: impl Fn(&Service) -> bool,
        mut change: impl FnMut(&ServiceName, &mut Service),
    ) {
        let those: Vec<ServiceName> = self
            .all
            .iter()
            .filter(|(_, service)| wants(service))
            .map(|(name, _)| name.clone())
            .collect();
        for name in those {
            self.change(&name, |service| change(&name, service));
        }
    }

    /// The next deadline of any service.
    pub(super) fn next_alarm(&self) -> Option<Time> {
        self.alarms.first().map(|(at, _)| *at)
    }

    /// Whose deadline has come, the earliest first.
    pub(super) fn due(&self, now: Time) -> Vec<ServiceName> {
        let due = self.alarms.iter().take_while(|(at, _)| *at <= now);
        due.map(|(_, name)| name.clone()).collect()
    }

    /// Who is wanted and may start, since all that it waits for has come.
    pub(super) fn startable(&self) -> Vec<ServiceName> {
        let has_come = |name: &ServiceName| self.get(name).is_some_and(|found| found.has_been_up);
        let may_start = |name: &&ServiceName| {
            self.get(*name).is_some_and(|service| service.spec.after.iter().all(has_come))
        };
        self.waiting.iter().filter(may_start).cloned().collect()
    }

    /// Of whom a fault may be told, by name.
    pub(super) fn unwell(&self) -> impl Iterator<Item = (&ServiceName, &Service)> {
        self.unwell.iter().filter_map(|name| self.all.get_key_value(name))
    }

    /// Whoever runs pods, and all that it waits for, in the order of starting.
    pub(super) fn needed(&self) -> impl Iterator<Item = (&ServiceName, &Service)> {
        self.needed.iter().filter_map(|name| self.all.get_key_value(name))
    }

    fn list(&mut self, name: &ServiceName, marks: &Marks) {
        self.alarms.extend(marks.alarm.map(|at| (at, name.clone())));
        self.waiting.extend(marks.waits.then(|| name.clone()));
        self.unwell.extend(marks.is_unwell.then(|| name.clone()));
    }

    fn unlist(&mut self, name: &ServiceName, marks: &Marks) {
        if let Some(at) = marks.alarm {
            self.alarms.remove(&(at, name.clone()));
        }
        self.waiting.remove(name);
        self.unwell.remove(name);
    }
}

/// The lists follow from the services: they are neither compared nor written down.
impl PartialEq for Services {
    fn eq(&self, other: &Self) -> bool {
        self.all == other.all
    }
}

impl Eq for Services {}

impl Serialize for Services {
    fn serialize<S: Serializer>(&self, target: S) -> Result<S::Ok, S::Error> {
        self.all.serialize(target)
    }
}

impl<'de> Deserialize<'de> for Services {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        BTreeMap::deserialize(source).map(Self::of)
    }
}

impl Service {
    fn marks(&self) -> Marks {
        Marks {
            alarm: self.life.wakes_at(),
            waits: self.wanted && self.life.is_stopped(),
            is_unwell: self.life.is_unwell(),
        }
    }
}

fn needed_for_pods(all: &BTreeMap<ServiceName, Service>) -> Vec<ServiceName> {
    let after = |name: &ServiceName| {
        all.get(name).map(|service| service.spec.after.as_slice()).unwrap_or_default()
    };
    let runs_pods = |(_, service): &(&ServiceName, &Service)| service.spec.pods.is_some();
    let mut open: Vec<&ServiceName> = all.iter().filter(runs_pods).map(|(name, _)| name).collect();
    let mut needed: BTreeSet<&ServiceName> = open.iter().copied().collect();
    while let Some(name) = open.pop() {
        open.extend(after(name).iter().filter(|wanted| needed.insert(wanted)));
    }
    let mut ordered = Vec::new();
    while !needed.is_empty() {
        let (next, later): (BTreeSet<_>, BTreeSet<_>) = needed
            .iter()
            .partition(|name| after(name).iter().all(|wanted| !needed.contains(wanted)));
        if next.is_empty() {
            // A circle, which the catalog refuses.
            break;
        }
        ordered.extend(next.into_iter().cloned());
        needed = later;
    }
    ordered
}
