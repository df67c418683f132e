// SPDX-License-Identifier: Apache-2.0
//! What PID 1 is told of the network, and every fault of it in words.

use std::net::IpAddr;

use kubermesh_node::channel::{AddressState, NetworkReport, Port, PortRole, Wrong};

use super::link::{Link, LinkKind};
use super::neighbours::BadPacket;
use super::network::Network;

/// The network as it is.
pub(crate) fn report(network: &Network) -> NetworkReport {
    let mut ports: Vec<Port> =
        network.links.values().filter_map(|link| describe(network, link)).collect();
    ports.sort_by(|one, other| one.name.cmp(&other.name));
    NetworkReport {
        ports,
        address_ready: network.is_ready() && network.has_address(),
        routing: network.neighbours.is_routing(),
        faults: faults(network),
    }
}

fn describe(network: &Network, link: &Link) -> Option<Port> {
    let LinkKind::Port { place } = &link.kind else { return None };
    let role = network.role(link)?;
    Some(Port {
        name: link.name.clone(),
        place: place.clone(),
        role,
        carrier: link.carrier,
        speed_mbit: link.speed_mbit.filter(|_| link.carrier),
        address: network.link_local(link.index),
        // BIRD may have answered before it knew that the cable is gone.
        neighbour: network.neighbours.at(&link.name).filter(|_| link.carrier).cloned(),
    })
}

fn faults(network: &Network) -> Vec<Wrong> {
    let mut faults = Vec::new();
    for link in network.links.values() {
        faults.extend(port_faults(network, link));
    }
    for (port, packet) in network.neighbours.bad_packets() {
        let sentence = bad_packet(network, packet);
        faults.push(Wrong { subject: format!("port {port}"), sentence });
    }
    faults.extend(unmatched_keys(network));
    if let Some(words) = network.neighbours.complaint() {
        let sentence = format!("does not take its configuration: {words}");
        faults.push(Wrong { subject: "bird".to_owned(), sentence });
    }
    faults
}

fn port_faults(network: &Network, link: &Link) -> Vec<Wrong> {
    let mut sentences = Vec::new();
    let is_used = matches!(network.role(link), Some(PortRole::Mesh | PortRole::Uplink));
    if is_used && network.link_local(link.index) == AddressState::Duplicate {
        sentences.push(
            "somebody else on its cable has its link-local address: two cards with one MAC address, or a cable that comes back"
                .to_owned(),
        );
    }
    if network.gave_up && network.tentative_ports().any(|waiting| waiting.index == link.index) {
        sentences.push("has a cable but no link-local address after 10s".to_owned());
    }
    let refused = network.refused.get(&link.index);
    sentences.extend(refused.into_iter().flatten().map(|(_, sentence)| sentence.clone()));
    let subject = match link.kind {
        LinkKind::Loopback => link.name.clone(),
        LinkKind::Port { .. } => format!("port {}", link.name),
    };
    sentences.into_iter().map(|sentence| Wrong { subject: subject.clone(), sentence }).collect()
}

/// BIRD's words for our own router id in somebody's packet are `my own router ID`: two machines
/// with one identity, or one machine's cable that ends in itself.
fn bad_packet(network: &Network, packet: &BadPacket) -> String {
    let BadPacket { from, reason } = packet;
    if !reason.contains("my own router ID") {
        return format!("the router {from} at the other end is refused: {reason}");
    }
    match own_port(network, *from) {
        Some(name) => format!("its cable ends in this machine's own port {name}"),
        None => format!(
            "the machine at the other end ({from}) has this one's router id {}: a copied identity",
            network.plan.mesh.router_id
        ),
    }
}

fn own_port(network: &Network, address: IpAddr) -> Option<&str> {
    let mut known = network.addresses.keys();
    let (index, _) = known.find(|(_, known)| IpAddr::V6(*known) == address)?;
    network.links.get(index).map(|link| link.name.as_str())
}

fn unmatched_keys(network: &Network) -> Vec<Wrong> {
    let is_there = |key: &str| {
        network.links.values().any(|link| match &link.kind {
            LinkKind::Loopback => false,
            LinkKind::Port { place } => link.name == key || place == key,
        })
    };
    let keys = network.plan.ports.keys().filter(|key| !is_there(key));
    keys.map(|key| Wrong {
        subject: "node.toml".to_owned(),
        sentence: format!("[ports] names {key}, but there is no such port"),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use kubermesh_node::channel::AddressState::{Duplicate, Ready};
    use kubermesh_node::time::Time;

    use super::*;
    use crate::think::event::{BirdEvent, Event};
    use crate::think::network::tests::{address, lo, network, port};

    fn told(network: &Network) -> Vec<(String, String)> {
        report(network).faults.into_iter().map(|wrong| (wrong.subject, wrong.sentence)).collect()
    }

    fn bad_packet_from(from: &str, reason: &str) -> Event {
        let (from, reason) = (from.parse().unwrap(), reason.to_owned());
        Event::Bird(BirdEvent::BadPacket { port: "eth0".into(), from, reason })
    }

    #[test]
    fn a_healthy_port_is_told_as_it_is() {
        let (mut network, _) =
            network("", vec![lo(), Link { speed_mbit: Some(2500), ..port(2, "eth0") }]);
        assert!(!report(&network).address_ready);
        network.step(Event::Address(address(2, "fe80::2", Ready)), Time::from_millis(2000));
        let said = report(&network);
        assert_eq!(
            serde_json::to_string(&said).unwrap(),
            r#"{"ports":[{"name":"eth0","place":"pci-0000:02:00.0","role":"mesh","carrier":true,"speed_mbit":2500,"address":"ready","neighbour":null}],"address_ready":true,"routing":false,"faults":[]}"#
        );
    }

    #[test]
    fn a_duplicate_address_is_told_with_what_may_be_the_reason() {
        let (mut network, _) = network("", vec![lo(), port(2, "eth0")]);
        network.step(Event::Address(address(2, "fe80::2", Duplicate)), Time::from_millis(2000));
        assert_eq!(
            told(&network),
            [("port eth0".into(), "somebody else on its cable has its link-local address: two cards with one MAC address, or a cable that comes back".into())]
        );
    }

    #[test]
    fn the_own_router_id_at_the_other_end_is_another_machine_or_this_one() {
        let (mut network, _) = network("", vec![lo(), port(2, "eth0"), port(3, "eth1")]);
        network.step(Event::Address(address(3, "fe80::3", Ready)), Time::from_millis(2000));
        for (from, sentence) in [
            (
                "fe80::9",
                "the machine at the other end (fe80::9) has this one's router id 10.1.2.3: a copied identity",
            ),
            ("fe80::3", "its cable ends in this machine's own port eth1"),
        ] {
            network.step(bad_packet_from(from, "my own router ID (0)"), Time::from_millis(3000));
            assert_eq!(told(&network), [("port eth0".into(), sentence.into())]);
        }
        let pulled = Link { carrier: false, ..port(2, "eth0") };
        network.step(Event::Link(pulled), Time::from_millis(4000));
        assert_eq!(told(&network), []);
    }

    #[test]
    fn a_router_with_other_timers_is_told_in_birds_words() {
        let (mut network, _) = network("", vec![lo(), port(2, "eth0")]);
        network
            .step(bad_packet_from("fe80::9", "hello interval mismatch (10)"), Time::from_millis(2));
        assert_eq!(
            told(&network),
            [(
                "port eth0".into(),
                "the router fe80::9 at the other end is refused: hello interval mismatch (10)"
                    .into()
            )]
        );
    }

    #[test]
    fn a_key_of_node_toml_that_names_no_port_is_a_fault_until_it_is_plugged_in() {
        let (mut network, _) = network("[ports]\neth7 = \"uplink\"", vec![lo()]);
        assert_eq!(
            told(&network),
            [("node.toml".into(), "[ports] names eth7, but there is no such port".into())]
        );
        network.step(Event::Link(port(7, "eth7")), Time::from_millis(2000));
        assert_eq!(told(&network), []);
    }
}
