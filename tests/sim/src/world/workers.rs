// SPDX-License-Identifier: Apache-2.0
//! The workers' side of their channels: orders are read when they get round to it, reports say what changed.

use std::collections::BTreeMap;

use kubermesh_node::channel::{
    AddressState, Envelope, HealthReport, Neighbour, NetworkReport, Order, PodsReport, Port,
    PortRole, Report, StorageReport, VERSION, Watch,
};
use kubermesh_node::service::ServiceName;
use kubermesh_node::status::Status;
use kubermesh_node::time::Time;

use super::agenda::Happening;
use crate::kernel::{Id, Machine};

/// What a worker knows.
#[derive(Debug, Default)]
pub(crate) struct Worker {
    /// What `light` and `console` show.
    pub(crate) status: Option<Status>,
    watches: BTreeMap<ServiceName, Watched>,
    pods: Option<bool>,
    outputs: Vec<Id>,
    has_said: bool,
    /// Reports that found no room yet.
    unsaid: Vec<Report>,
}

#[derive(Debug)]
struct Watched {
    watch: Watch,
    is_healthy: Option<bool>,
    failures: u32,
}

/// From the wake of a worker to its next.
const LOOKS: u64 = 700_000;

impl Machine {
    /// What a worker reports when it starts.
    pub(crate) fn reports_at_first(&mut self, pid: u32) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        let serial = process.serial;
        let Some(worker) = &mut process.worker else { return };
        worker.has_said = true;
        let name = process.service.as_ref().map_or("", ServiceName::as_str).to_owned();
        match name.as_str() {
            "storage" => self.reports(pid, Report::Storage(stick())),
            "net" => {
                let network = self.network();
                self.reports(pid, Report::Network(network));
            }
            _ => {}
        }
        self.later(0, Happening::Looks { pid, serial });
    }

    fn network(&self) -> NetworkReport {
        let neighbour = self.has_cable.then(|| Neighbour {
            router_id: "10.0.0.2".into(),
            address: None,
            state: "Full".into(),
            is_full: true,
            since: Time::default(),
        });
        let port = Port {
            name: "eth0".into(),
            place: "pci-eth0".into(),
            role: PortRole::Mesh,
            carrier: self.has_cable,
            speed_mbit: None,
            address: AddressState::Ready,
            neighbour,
        };
        NetworkReport { ports: vec![port], address_ready: true, routing: true, faults: vec![] }
    }

    /// A cable is plugged or pulled: `net` tells.
    pub(crate) fn moves_cable(&mut self, is_plugged: bool) {
        self.has_cable = is_plugged;
        self.told(|| format!("> the cable is plugged: {is_plugged}"));
        let network = self.network();
        let says = |process: &&crate::kernel::Process| {
            process.service.as_ref().is_some_and(|name| name.as_str() == "net")
                && process.worker.as_ref().is_some_and(|worker| worker.has_said)
        };
        let found = self.processes.iter().find(|(_, process)| says(process)).map(|(pid, _)| *pid);
        if let Some(pid) = found {
            self.reports(pid, Report::Network(network));
        }
    }

    fn reports(&mut self, pid: u32, report: Report) {
        let Some(worker) = self.processes.get_mut(&pid).and_then(|process| process.worker.as_mut())
        else {
            return;
        };
        worker.unsaid.push(report);
        self.says_reports(pid);
    }

    fn says_reports(&mut self, pid: u32) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        let (third, is_still) = (process.third, process.is_hung || process.is_stuck);
        let (Some(worker), Some(third)) = (&mut process.worker, third) else { return };
        if is_still {
            return;
        }
        let unsaid = std::mem::take(&mut worker.unsaid);
        let mut left = Vec::new();
        for report in unsaid {
            let envelope = Envelope { version: VERSION, body: &report };
            let bytes = serde_json::to_vec(&envelope).expect("a report is JSON");
            if !left.is_empty() || self.send_packet_of(third, bytes, None).is_err() {
                left.push(report);
            }
        }
        if let Some(worker) = self.processes.get_mut(&pid).and_then(|found| found.worker.as_mut()) {
            worker.unsaid = left;
        }
    }

    /// Reads its orders now.
    pub(crate) fn reads_orders(&mut self, pid: u32) {
        let process = &self.processes[&pid];
        let Some(third) = process.third else { return };
        if process.is_hung || process.is_stuck {
            return;
        }
        while let Some((bytes, attached)) = self.take_packet(third) {
            let order = serde_json::from_slice::<Envelope<Order>>(&bytes).expect("an order is one");
            self.follows(pid, order.body, attached);
        }
    }

    fn follows(&mut self, pid: u32, order: Order, attached: Option<Id>) {
        let Some(worker) = self.processes.get_mut(&pid).and_then(|process| process.worker.as_mut())
        else {
            return attached.into_iter().for_each(|id| self.release(id));
        };
        match order {
            Order::Ping { number } => self.reports(pid, Report::Pong { number }),
            Order::Status(status) => worker.status = Some(status),
            Order::Watch(watch) => {
                let watched = Watched { is_healthy: None, failures: 0, watch };
                worker.watches.insert(watched.watch.service.clone(), watched);
            }
            Order::Unwatch { service } => {
                worker.watches.remove(&service);
            }
            Order::WatchPods(_) => worker.pods = Some(false),
            Order::Output { .. } => worker.outputs.extend(attached),
            Order::Identify { .. } | Order::Stored => {}
        }
    }

    /// A worker's own rhythm: `log` reads the outputs, `probe` looks at services and pods.
    pub(crate) fn looks(&mut self, pid: u32) {
        let process = &self.processes[&pid];
        let serial = process.serial;
        if !process.is_hung && !process.is_stuck {
            self.reads_orders(pid);
            let outputs = self.worker(pid).map(|worker| worker.outputs.clone());
            outputs.into_iter().flatten().for_each(|id| self.drain(id));
            self.looks_at_services(pid);
            self.looks_at_pods(pid);
            self.says_reports(pid);
        }
        let within = LOOKS / 2 + self.chance.below(LOOKS);
        self.later(within, Happening::Looks { pid, serial });
    }

    fn worker(&mut self, pid: u32) -> Option<&mut Worker> {
        self.processes.get_mut(&pid)?.worker.as_mut()
    }

    fn looks_at_services(&mut self, pid: u32) {
        let answers: Vec<ServiceName> = self
            .processes
            .values()
            .filter(|process| {
                process.is_main
                    && process.is_ready
                    && process.ended.is_none()
                    && !process.is_hung
                    && !process.is_stuck
            })
            .filter_map(|process| process.service.clone())
            .collect();
        let Some(worker) = self.worker(pid) else { return };
        let mut news = Vec::new();
        for (service, watched) in &mut worker.watches {
            let is_healthy = answers.contains(service);
            watched.failures = if is_healthy { 0 } else { watched.failures + 1 };
            let is_news = if is_healthy {
                watched.is_healthy != Some(true)
            } else {
                watched.is_healthy != Some(false) && watched.failures >= watched.watch.failures
            };
            if is_news {
                watched.is_healthy = Some(is_healthy);
                news.push(HealthReport {
                    service: service.clone(),
                    instance: watched.watch.instance,
                    healthy: is_healthy,
                    sentence: if is_healthy { "answered" } else { "does not answer" }.into(),
                });
            }
        }
        news.into_iter().for_each(|health| self.reports(pid, Report::Health(health)));
    }

    fn looks_at_pods(&mut self, pid: u32) {
        let Some(worker) = self.worker(pid) else { return };
        if worker.pods == Some(false) {
            worker.pods = Some(true);
            let pods = PodsReport { wanted: 1, running: 1, sentence: String::new() };
            self.reports(pid, Report::Pods(pods));
        }
    }
}

fn stick() -> StorageReport {
    StorageReport {
        state: Some("/dev/sda2".into()),
        data: Some("/dev/sda3".into()),
        identity: "00000000000000000000000000000007".into(),
        node_toml: Some("[mesh]\nprefix = \"fd12:3456:789a:1::/64\"\n".into()),
        crash: None,
        faults: vec![],
    }
}
