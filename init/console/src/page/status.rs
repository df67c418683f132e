// SPDX-License-Identifier: Apache-2.0
//! Who and how the node is, why it is not ready, and what its light shows.

use kubermesh_node::control::{LightView, NodeView, WhyView};
use kubermesh_node::status::Fault;
use kubermesh_node::time::Time;

use super::line::{Paint, clean, lasting};

/// The whole of a node's status.
#[must_use]
pub fn status(view: &NodeView, paint: Paint) -> Vec<String> {
    let mut lines = vec![headline(view, paint)];
    let or_none = |text: &str| if text.is_empty() { "none yet".to_owned() } else { clean(text) };
    for (name, value) in [
        ("address", or_none(&view.address)),
        ("router id", or_none(&view.router_id)),
        ("identity", or_none(&view.identity)),
        (
            "image",
            format!("{}, up {}", clean(&view.version), lasting(view.now.since(Time::default()))),
        ),
        ("pods", pods(view)),
        ("log", format!("{} entries, {} lost", view.log.entries, view.log.dropped)),
    ] {
        lines.push(format!("  {name:<10} {value}"));
    }
    if view.recoveries > 0 {
        lines.push(format!("  {:<10} PID 1 recovered {} times", "crashes", view.recoveries));
    }
    lines.extend(faults(&view.status.faults, view.now));
    lines
}

/// `kubermesh-3fa2  isolated for 2min 5s: no neighbour on enp1s0`
pub(super) fn headline(view: &NodeView, paint: Paint) -> String {
    let since = lasting(view.now.since(view.status.since));
    let (word, sentence) = (paint.word(&view.word), clean(&view.status.sentence));
    format!("{}  {word} for {since}: {sentence}", clean(&view.hostname))
}

/// What is wrong, a line each.
#[must_use]
pub fn faults(faults: &[Fault], now: Time) -> Vec<String> {
    let line = |fault: &Fault| {
        let (subject, sentence) = (clean(&fault.subject), clean(&fault.sentence));
        format!("  fault      {subject}: {sentence} (for {})", lasting(now.since(fault.since)))
    };
    let mut lines: Vec<String> = faults.iter().take(MOST_FAULTS).map(line).collect();
    if faults.len() > MOST_FAULTS {
        lines.push(format!("  … and {} more faults", faults.len().saturating_sub(MOST_FAULTS)));
    }
    lines
}

fn pods(view: &NodeView) -> String {
    let mut words = format!("{} of {} running", view.pods.running, view.pods.wanted);
    if !view.pods.sentence.is_empty() {
        words.push_str(&format!(", {}", clean(&view.pods.sentence)));
    }
    words
}

/// The way from cable to ready; `─►` stands at the first condition that is not met.
#[must_use]
pub fn why(view: &WhyView, paint: Paint) -> Vec<String> {
    let first = view.conditions.iter().position(|condition| !condition.met);
    let mut lines = Vec::new();
    for (number, condition) in view.conditions.iter().enumerate() {
        let arrow = if first == Some(number) { "─►" } else { "  " };
        let met = if condition.met { "yes" } else { "no" };
        let gap = if condition.met { "" } else { " " };
        let (name, sentence) = (clean(&condition.name), clean(&condition.sentence));
        let colon = if sentence.is_empty() { "" } else { ": " };
        lines.push(format!("{arrow} {}{gap} {name}{colon}{sentence}", paint.word(met)));
    }
    if first.is_none() {
        lines.push("   nothing is waited for".to_owned());
    }
    lines
}

/// What the light shows, and where there is one.
#[must_use]
pub fn light(view: &LightView) -> Vec<String> {
    let mut lines = vec![format!("{}: {}", clean(&view.shows), clean(&view.words))];
    for device in &view.lights.devices {
        lines.push(format!("  blink(1) {}", clean(device)));
    }
    if view.lights.devices.is_empty() {
        lines.push("  no blink(1) is plugged in".to_owned());
    }
    for wrong in &view.lights.faults {
        lines.push(format!("  fault      {}: {}", clean(&wrong.subject), clean(&wrong.sentence)));
    }
    lines
}

/// A page of them is plenty; all of them are in `--json`.
const MOST_FAULTS: usize = 16;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn node() -> NodeView {
        serde_json::from_value(serde_json::json!({
            "hostname": "km-3fa2", "address": "fd12::1", "router_id": "10.1.2.3",
            "identity": "00112233445566778899aabbccddeeff", "version": "0.1.0", "now": 190_000,
            "word": "isolated", "recoveries": 0,
            "status": {"phase": "isolated", "sentence": "no neighbour on eth0", "since": 65_000,
                "faults": [{"subject": "port eth1", "sentence": "half speed", "since": 100_000}]},
            "pods": {"wanted": 1, "running": 1, "sentence": ""},
            "log": {"entries": 812, "dropped": 0, "faults": []},
        }))
        .unwrap()
    }

    #[test]
    fn a_status_says_first_what_is_waited_for_and_last_what_is_wrong() {
        assert_eq!(
            status(&node(), Paint::Plain),
            [
                "km-3fa2  isolated for 2min 5s: no neighbour on eth0",
                "  address    fd12::1",
                "  router id  10.1.2.3",
                "  identity   00112233445566778899aabbccddeeff",
                "  image      0.1.0, up 3min 10s",
                "  pods       1 of 1 running",
                "  log        812 entries, 0 lost",
                "  fault      port eth1: half speed (for 1min 30s)",
            ]
        );
    }

    #[test]
    fn the_first_unmet_condition_is_pointed_at() {
        let view = serde_json::from_value(serde_json::json!({"conditions": [
            {"name": "a cable", "met": true, "sentence": "eth0"},
            {"name": "a neighbour", "met": false, "sentence": "hello sent for 4s"},
            {"name": "containerd answers", "met": false, "sentence": ""},
        ]}))
        .unwrap();
        assert_eq!(
            why(&view, Paint::Plain),
            [
                "   yes a cable: eth0",
                "─► no  a neighbour: hello sent for 4s",
                "   no  containerd answers",
            ]
        );
    }

    #[test]
    fn a_machine_without_a_light_says_so() {
        let view = serde_json::from_value(serde_json::json!({
            "shows": "isolated", "words": "blue, one slow blink", "lights": {"devices": [], "faults": []},
        }))
        .unwrap();
        assert_eq!(light(&view), ["isolated: blue, one slow blink", "  no blink(1) is plugged in"]);
    }
}
