// SPDX-License-Identifier: Apache-2.0
//! What waits to be told to PID 1: the last of each kind, so that it stays small however long
//! PID 1 does not read.

use std::cell::RefCell;
use std::collections::BTreeMap;

use kubermesh_node::channel::{HealthReport, PodsReport, Report};
use kubermesh_node::service::ServiceName;
use tokio::sync::Notify;

/// Reports on their way. A later one replaces an earlier one of its kind.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: RefCell<Waiting>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    pong: Option<u64>,
    health: BTreeMap<ServiceName, HealthReport>,
    pods: Option<PodsReport>,
}

impl Outbox {
    pub(crate) fn pong(&self, number: u64) {
        self.waiting.borrow_mut().pong = Some(number);
        self.filled.notify_one();
    }

    pub(crate) fn health(&self, report: HealthReport) {
        self.waiting.borrow_mut().health.insert(report.service.clone(), report);
        self.filled.notify_one();
    }

    pub(crate) fn pods(&self, report: PodsReport) {
        self.waiting.borrow_mut().pods = Some(report);
        self.filled.notify_one();
    }

    /// Drops what waits about this service: it is looked at no longer, or another run of it is.
    pub(crate) fn forget(&self, service: &ServiceName) {
        self.waiting.borrow_mut().health.remove(service);
    }

    /// Returns once something was put in since it last returned.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// The next to be told; it stays until [`Outbox::told`].
    pub(crate) fn next(&self) -> Option<Report> {
        let waiting = self.waiting.borrow();
        let pong = waiting.pong.map(|number| Report::Pong { number });
        pong.or_else(|| waiting.health.values().next().cloned().map(Report::Health))
            .or_else(|| waiting.pods.clone().map(Report::Pods))
    }

    /// Takes out what [`Outbox::next`] gave.
    pub(crate) fn told(&self, report: &Report) {
        let mut waiting = self.waiting.borrow_mut();
        match report {
            Report::Pong { .. } => waiting.pong = None,
            Report::Health(told) => {
                waiting.health.remove(&told.service);
            }
            Report::Pods(_) => waiting.pods = None,
            Report::Network(_) | Report::Lights(_) | Report::Log(_) | Report::Storage(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(service: &str, instance: u64) -> HealthReport {
        let service = service.parse().unwrap();
        HealthReport { service, instance, healthy: true, sentence: String::new() }
    }

    #[test]
    fn the_last_of_each_kind_waits_and_a_pong_goes_first() {
        let outbox = Outbox::default();
        outbox.pods(PodsReport { wanted: 1, ..PodsReport::default() });
        outbox.health(health("kubelet", 1));
        outbox.health(health("bird", 1));
        outbox.health(health("kubelet", 2));
        outbox.pong(4);
        outbox.pong(5);
        outbox.forget(&"bird".parse().unwrap());
        let mut told = Vec::new();
        while let Some(report) = outbox.next() {
            outbox.told(&report);
            told.push(report);
        }
        let pods = PodsReport { wanted: 1, ..PodsReport::default() };
        let expected =
            [Report::Pong { number: 5 }, Report::Health(health("kubelet", 2)), Report::Pods(pods)];
        assert_eq!(told, expected);
    }
}
