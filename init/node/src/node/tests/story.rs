// SPDX-License-Identifier: Apache-2.0
//! The teller: feeds events, answers each start with a process as PID 1 does, writes it all down.
//!
//! `>` is what happened, `<` what the node wants done, `~` its status when that changed.

use std::collections::VecDeque;

use crate::channel::{
    AddressState, HealthReport, Neighbour, NetworkReport, PodsReport, Port, PortRole, Report,
    StorageReport,
};
use crate::control::Request;
use crate::effect::Effect;
use crate::event::{End, Event};
use crate::node::Node;
use crate::service::{Catalog, ServiceName};
use crate::story;
use crate::time::Time;

/// A node in miniature, with each kind of service: a task that says who it is, the workers that
/// PID 1 knows by name, what runs pods, and two tasks of the way down.
pub(super) const SMALL: &[(&str, &str)] = &[
    ("storage.toml", "command = [\"/storage\"]\nkind = \"task\"\nworker = true\n"),
    ("probe.toml", "command = [\"/probe\"]\nworker = true\nready.notify = true\n"),
    ("log.toml", "command = [\"/log\"]\nworker = true\nready.notify = true\nstop.stage = 6\n"),
    ("light.toml", "command = [\"/light\"]\nworker = true\nready.notify = true\nstop.stage = 9\n"),
    (
        "net.toml",
        r#"
        command = ["/net", "${node_address}"]
        after = ["storage"]
        worker = true
        ready.notify = true
        health = { ping = "/run/net", every = "10s", failures = 3 }
        "#,
    ),
    (
        "kubelet.toml",
        r#"
        command = ["/kubelet"]
        after = ["net", "probe"]
        ready.http = "http://[::1]:10248/healthz"
        health = { every = "10s", failures = 3 }
        restart.rests = ["1s", "5s", "30s"]
        stop = { stage = 1, within = "20s" }
        pods = { cri = "/run/cri", manifests = "/etc/manifests", every = "5s", cgroup = "kubepods" }
        "#,
    ),
    ("stop-pods.toml", "command = [\"/stop-pods\"]\nkind = \"stop\"\nstop.stage = 2\n"),
    ("unmount.toml", "command = [\"/unmount\"]\nkind = \"stop\"\nstop.stage = 7\n"),
];

pub(super) struct Story {
    pub(super) node: Node,
    text: String,
    next_pid: u32,
    /// Starts of these have no process: the kernel refuses them.
    pub(super) refused: Vec<&'static str>,
    /// Starts of these are answered by the story itself.
    pub(super) slow: Vec<&'static str>,
    shown: String,
}

impl Story {
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let (catalog, refused) = Catalog::lenient(files.iter().copied());
        let node = Node::new(catalog, &refused, "1.2.3");
        let (text, shown) = (String::new(), String::new());
        Self { node, text, next_pid: 100, refused: vec![], slow: vec![], shown }
    }

    /// A node in miniature, up and with its pod, at 10 s; what led there is not told.
    pub(super) fn ready() -> Self {
        let mut story = Self::of(SMALL);
        story.at(1.0, Event::Begun);
        for worker in ["light", "log", "probe"] {
            story.at(2.0, says_ready(worker, 1));
        }
        story.at(3.0, reports("storage", Report::Storage(stick(OWN_MESH))));
        story.at(3.0, ends("storage", 1, End::Exit(0)));
        story.at(4.0, says_ready("net", 1));
        story.at(5.0, is_healthy("kubelet", 1));
        story.at(6.0, reports("net", Report::Network(one_neighbour())));
        story.at(10.0, pods_run(1, 1));
        story.text.clear();
        story
    }

    /// Feeds an event and all that comes of it at once.
    pub(super) fn at(&mut self, second: f64, event: Event) -> &mut Self {
        let since_start = std::time::Duration::from_secs_f64(second).as_millis();
        let now = Time::from_millis(u64::try_from(since_start).unwrap());
        let mut open = VecDeque::from([event]);
        while let Some(event) = open.pop_front() {
            self.text += &format!("{now} > {}\n", story::event(&event));
            for effect in self.node.step(event, now) {
                self.text += &format!("{now} < {}\n", story::effect(&effect));
                if let Effect::Spawn(launch) = effect {
                    open.extend(self.start(launch.service, launch.instance));
                }
            }
            let shown = status_in_words(&self.node);
            if shown != self.shown {
                self.text += &format!("{now} ~ {shown}\n");
                self.shown = shown;
            }
        }
        self
    }

    fn start(&mut self, service: ServiceName, instance: u64) -> Option<Event> {
        if self.slow.contains(&service.as_str()) {
            return None;
        }
        if self.refused.contains(&service.as_str()) {
            let sentence = "no such file".into();
            return Some(Event::SpawnFailed { service, instance, sentence });
        }
        self.next_pid += 1;
        Some(Event::Spawned { service, instance, pid: self.next_pid })
    }

    /// All since the last look.
    pub(super) fn told(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    /// Only the lines since the last look that hold one of these words.
    pub(super) fn about(&mut self, words: &[&str]) -> String {
        let told = self.told();
        let lines = told.lines().filter(|line| words.iter().any(|word| line.contains(word)));
        lines.map(|line| format!("{line}\n")).collect()
    }
}

/// node.toml of a mesh with a prefix of its own, so that there is no fault to begin with.
pub(super) const OWN_MESH: &str = "[mesh]\nprefix = \"fd12:3456:789a:1::/64\"\n";

pub(super) fn stick(node_toml: &str) -> StorageReport {
    StorageReport {
        state: Some("/dev/sda2".into()),
        data: Some("/dev/sda3".into()),
        identity: "00000000000000000000000000000007".into(),
        node_toml: Some(node_toml.into()),
        crash: None,
        faults: vec![],
    }
}

pub(super) fn port(name: &str, carrier: bool, neighbour: bool) -> Port {
    let neighbour = neighbour.then(|| Neighbour {
        router_id: "10.0.0.2".into(),
        address: None,
        state: "Full".into(),
        is_full: true,
        since: Time::default(),
    });
    let (role, address) = (PortRole::Mesh, AddressState::Ready);
    Port {
        name: name.into(),
        place: format!("pci-{name}"),
        role,
        carrier,
        speed_mbit: None,
        address,
        neighbour,
    }
}

pub(super) fn one_neighbour() -> NetworkReport {
    NetworkReport { ports: vec![port("eth0", true, true)], ..NetworkReport::default() }
}

pub(super) fn name(text: &str) -> ServiceName {
    text.parse().unwrap()
}

pub(super) fn says_ready(service: &str, instance: u64) -> Event {
    Event::Ready { service: name(service), instance }
}

pub(super) fn ends(service: &str, instance: u64, end: End) -> Event {
    Event::Ended { service: name(service), instance, end }
}

pub(super) fn reports(worker: &str, report: Report) -> Event {
    Event::Reported { worker: name(worker), report }
}

pub(super) fn is_healthy(service: &str, instance: u64) -> Event {
    health(service, instance, true, "answered 200")
}

pub(super) fn health(service: &str, instance: u64, healthy: bool, sentence: &str) -> Event {
    let (service, sentence) = (name(service), sentence.into());
    reports("probe", Report::Health(HealthReport { service, instance, healthy, sentence }))
}

pub(super) fn pods_run(running: u32, wanted: u32) -> Event {
    let sentence = if running < wanted { "beacon waits for its image" } else { "" };
    reports("probe", Report::Pods(PodsReport { wanted, running, sentence: sentence.into() }))
}

pub(super) fn asks(request: Request) -> Event {
    Event::Asked { client: 1, request, is_root: true }
}

fn status_in_words(node: &Node) -> String {
    let status = node.status();
    let faults = status.faults.iter().map(|fault| {
        format!("; fault since {}: {}: {}", fault.since, fault.subject, fault.sentence)
    });
    format!("{status} (since {}){}", status.since, faults.collect::<String>())
}
