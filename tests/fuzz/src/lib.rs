// SPDX-License-Identifier: Apache-2.0
//! What several fuzz targets need: a node at work, and what harmless text is.

use kubermesh_node::channel::{Envelope, HealthReport, MESSAGE_LIMIT, Report, VERSION};
use kubermesh_node::effect::Effect;
use kubermesh_node::event::Event;
use kubermesh_node::node::Node;
use kubermesh_node::service::Catalog;
use kubermesh_node::time::Time;

/// A node whose services have all been started, two of them workers that are shown its status.
#[must_use]
pub fn node() -> Node {
    let catalog = Catalog::strict(SERVICES).expect("services that fit");
    let mut node = Node::new(catalog, &[], "fuzzed");
    let mut effects = node.step(Event::Begun, Time::from_millis(1));
    let mut pid = 100;
    while let Some(effect) = effects.pop() {
        if let Effect::Spawn(launch) = effect {
            pid += 1;
            let (service, instance) = (launch.service.clone(), launch.instance);
            effects
                .extend(node.step(Event::Spawned { service, instance, pid }, Time::from_millis(2)));
        }
    }
    node
}

const SERVICES: [(&str, &str); 6] = [
    ("light.toml", "command = [\"/a\"]\nworker = true\n"),
    ("console.toml", "command = [\"/a\"]\nworker = true\n"),
    ("probe.toml", "command = [\"/a\"]\nworker = true\n"),
    ("storage.toml", "command = [\"/a\"]\nworker = true\n"),
    ("bird.toml", "command = [\"/a\"]\n[ready]\nbird = \"/run/bird.ctl\"\n"),
    (
        "kubelet.toml",
        "command = [\"/a\"]\n[ready]\nhttp = \"http://[::1]:10248/healthz\"\n[health]\nevery = \"10s\"\nfailures = 3\n[pods]\ncri = \"/c\"\nmanifests = \"/m\"\ncgroup = \"kubepods\"\nevery = \"5s\"\n",
    ),
];

/// The bytes that an input stands for. Decoders must hold out against 64 KiB and more, but a fuzzer is
/// quick with small inputs: `0x1e n` is the byte before it, 256 n times; `0x1e 0` is `0x1e` itself.
#[must_use]
pub fn grown(input: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(input.len());
    let mut rest = input;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match (*byte, after.split_first()) {
            (GROWS, Some((0, after))) => {
                bytes.push(GROWS);
                rest = after;
            }
            (GROWS, Some((times, after))) => {
                let count = usize::from(*times) * 256;
                let last = bytes.last().copied();
                if let Some(last) = last.filter(|_| bytes.len() + count <= LONGEST) {
                    bytes.resize(bytes.len() + count, last);
                }
                rest = after;
            }
            (byte, _) => bytes.push(byte),
        }
    }
    bytes
}

const GROWS: u8 = 0x1e;
/// Twice the longest message, and a little.
const LONGEST: usize = 140 * 1024;

/// No terminal obeys it: no control character but the end of a line and a tab.
#[must_use]
pub fn is_harmless(text: &str) -> bool {
    text.chars().all(|c| !c.is_control() || c == '\n' || c == '\t')
}

/// What a check heard is told to PID 1 in a message, which has a longest length.
///
/// # Panics
/// It is too long.
pub fn fits_a_report(sentence: &str) {
    let service = "bird".parse().expect("a name");
    let sentence = sentence.to_owned();
    let body = Report::Health(HealthReport { service, instance: 1, healthy: false, sentence });
    let message = serde_json::to_vec(&Envelope { version: VERSION, body }).expect("JSON");
    assert!(message.len() <= MESSAGE_LIMIT, "a report of {} bytes", message.len());
}

/// An error and its causes on one line.
#[must_use]
pub fn chain(refusal: &dyn std::error::Error) -> String {
    let mut said = refusal.to_string();
    let mut next = refusal.source();
    while let Some(cause) = next {
        said = format!("{said}: {cause}");
        next = cause.source();
    }
    said
}
