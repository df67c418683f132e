// SPDX-License-Identifier: Apache-2.0
//! The ports, what is at the other end of each, and what is wrong with them.

use kubermesh_node::channel::{AddressState, NetworkReport, Port, PortRole};
use kubermesh_node::time::Time;

use super::line::{Paint, clean, lasting};
use super::table::table;

/// A table of all ports, then what is wrong.
#[must_use]
pub fn links(report: &NetworkReport, now: Time, paint: Paint) -> Vec<String> {
    if report.ports.is_empty() {
        return vec!["no Ethernet port in this machine".to_owned()];
    }
    let rows = report.ports.iter().map(|port| {
        [
            clean(&port.name),
            clean(&port.place),
            role(port.role).to_owned(),
            paint.word(if port.carrier { "yes" } else { "no" }),
            port.speed_mbit.map_or_else(|| "-".to_owned(), |speed| format!("{speed} Mbit/s")),
            address(port.address).to_owned(),
            neighbour(port, now),
        ]
    });
    let heads = ["PORT", "PLACE", "ROLE", "CABLE", "SPEED", "ADDRESS", "NEIGHBOUR"];
    let mut lines = table(heads, rows.collect());
    if !report.address_ready {
        lines.push("the node's own address is not ready yet".to_owned());
    }
    if !report.routing {
        lines.push("BIRD does not route yet".to_owned());
    }
    for wrong in &report.faults {
        lines.push(format!("fault: {}: {}", clean(&wrong.subject), clean(&wrong.sentence)));
    }
    lines
}

/// Who is at the other end, in a few words.
pub(super) fn neighbour(port: &Port, now: Time) -> String {
    let Some(neighbour) = &port.neighbour else { return "none".to_owned() };
    let since = lasting(now.since(neighbour.since));
    let mut words =
        format!("{} {} for {since}", clean(&neighbour.router_id), clean(&neighbour.state));
    if let Some(address) = neighbour.address {
        words.push_str(&format!(" at {address}"));
    }
    words
}

const fn role(role: PortRole) -> &'static str {
    match role {
        PortRole::Mesh => "mesh",
        PortRole::Uplink => "uplink",
        PortRole::Off => "off",
    }
}

const fn address(state: AddressState) -> &'static str {
    match state {
        AddressState::Absent => "none",
        AddressState::Tentative => "tentative",
        AddressState::Ready => "ready",
        AddressState::Duplicate => "duplicate",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn two() -> NetworkReport {
        serde_json::from_value(serde_json::json!({
            "address_ready": true, "routing": false,
            "faults": [{"subject": "port eth1", "sentence": "address is a duplicate"}],
            "ports": [
                {"name": "eth0", "place": "pci-0000:01:00.0", "role": "mesh", "carrier": true,
                    "speed_mbit": 2500, "address": "ready", "neighbour": {"router_id": "10.0.0.2",
                    "address": "fe80::2", "state": "Full", "is_full": true, "since": 1000}},
                {"name": "eth1", "place": "usb-1.2", "role": "uplink", "carrier": false,
                    "speed_mbit": null, "address": "duplicate", "neighbour": null},
            ],
        }))
        .unwrap()
    }

    #[test]
    fn a_port_tells_who_is_at_its_other_end() {
        assert_eq!(
            links(&two(), Time::from_millis(6000), Paint::Plain),
            [
                "PORT  PLACE             ROLE    CABLE  SPEED        ADDRESS    NEIGHBOUR",
                "eth0  pci-0000:01:00.0  mesh    yes    2500 Mbit/s  ready      10.0.0.2 Full for 5s at fe80::2",
                "eth1  usb-1.2           uplink  no     -            duplicate  none",
                "BIRD does not route yet",
                "fault: port eth1: address is a duplicate",
            ]
        );
    }

    #[test]
    fn a_machine_without_ports_says_so() {
        let lines = links(&NetworkReport::default(), Time::default(), Paint::Plain);
        assert_eq!(lines, ["no Ethernet port in this machine"]);
    }
}
