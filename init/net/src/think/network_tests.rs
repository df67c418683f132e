// SPDX-License-Identifier: Apache-2.0
//! A node's network, from the first snapshot to a pulled cable.

use kubermesh_node::config::Config;
use kubermesh_node::identity::Identity;

use super::*;
use crate::think::effect::Question;
use crate::think::event::{Adjacency, BirdEvent};

/// A plan with addresses that a person can read, for this node.toml.
pub(crate) fn plan(text: &str) -> Plan {
    let config = Config::parse("node.toml", text).unwrap();
    let mut plan = Plan::new(Identity::from_bits(7), &config);
    plan.mesh.address = "fd12::7".parse().unwrap();
    plan.mesh.router_id = "10.1.2.3".parse().unwrap();
    plan.pods.v6 = "fdaa:0:0:1::/64".parse().unwrap();
    plan
}

/// A port that is as it shall be.
pub(crate) fn port(index: u32, name: &str) -> Link {
    let place = format!("pci-0000:{index:02}:00.0");
    Link {
        index: LinkIndex::new(index),
        name: name.into(),
        kind: LinkKind::Port { place: place.clone() },
        up: true,
        carrier: true,
        mtu: 1500,
        altnames: vec![place],
        speed_mbit: None,
    }
}

/// `lo`, up.
pub(crate) fn lo() -> Link {
    Link { kind: LinkKind::Loopback, altnames: vec![], ..port(1, "lo") }
}

pub(crate) fn address(link: u32, address: &str, state: AddressState) -> Address {
    Address { link: LinkIndex::new(link), address: address.parse().unwrap(), state }
}

fn at(seconds: u64) -> Time {
    Time::from_millis(seconds.saturating_mul(1000))
}

/// Has the node seen its ports, and gives it its address.
pub(crate) fn network(text: &str, links: Vec<Link>) -> (Network, Vec<Effect>) {
    let mut network = Network::new(plan(text), at(1));
    let addresses = vec![address(1, "fd12::7", AddressState::Ready)];
    let effects = network.step(Event::Snapshot { links, addresses }, at(1));
    (network, effects)
}

fn says_ready(effects: &[Effect]) -> bool {
    effects.contains(&Effect::SayReady)
}

#[test]
fn a_node_without_ports_is_ready_with_its_address() {
    let (mut network, effects) = network("", vec![lo()]);
    assert!(says_ready(&effects));
    assert!(!says_ready(&network.step(Event::Clock, at(2))), "it is said once");
}

#[test]
fn ready_waits_for_detection_on_each_port_that_has_a_cable() {
    let no_cable = Link { carrier: false, ..port(3, "eth1") };
    let off = port(4, "eth2");
    let (mut network, effects) =
        network("[ports]\neth2 = \"off\"", vec![lo(), port(2, "eth0"), no_cable, off]);
    assert!(!says_ready(&effects));
    let tentative = address(2, "fe80::2", AddressState::Tentative);
    assert!(!says_ready(&network.step(Event::Address(tentative), at(2))));
    let unique = address(2, "fe80::2", AddressState::Ready);
    assert!(says_ready(&network.step(Event::Address(unique), at(3))));
}

#[test]
fn a_duplicate_ends_detection_and_a_silent_port_is_waited_for_ten_seconds() {
    let (mut one, _) = network("", vec![lo(), port(2, "eth0")]);
    let duplicate = address(2, "fe80::2", AddressState::Duplicate);
    assert!(says_ready(&one.step(Event::Address(duplicate), at(2))));

    let (mut silent, _) = network("", vec![lo(), port(2, "eth0")]);
    assert_eq!(silent.deadline(), Some(at(11)));
    assert!(!says_ready(&silent.step(Event::Clock, at(10))));
    assert!(says_ready(&silent.step(Event::Clock, at(11))));
    assert_eq!(silent.deadline(), None);
}

#[test]
fn an_address_that_somebody_took_away_comes_back_and_others_are_left_alone() {
    let (mut network, effects) = network("", vec![lo()]);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::AddAddress { .. })));
    let other = address(1, "fd99::1", AddressState::Ready);
    assert_eq!(network.step(Event::Address(other), at(2)), []);
    let (link, ours) = (LinkIndex::new(1), "fd12::7".parse().unwrap());
    assert_eq!(
        network.step(Event::AddressGone { link, address: ours }, at(3)),
        [Effect::AddAddress { link, address: ours }]
    );
}

#[test]
fn a_new_port_is_written_down_and_bird_reads_it() {
    let (mut network, _) = network("", vec![lo(), port(2, "eth0")]);
    network.step(Event::Bird(BirdEvent::Up), at(2));
    let effects = network.step(Event::Link(port(3, "eth1")), at(3));
    let written = effects.iter().position(|effect| {
        matches!(effect, Effect::WriteBirdConfig(text) if text.contains("\"eth0\"") && text.contains("\"eth1\""))
    });
    let read = effects.iter().position(|effect| *effect == Effect::Ask(Question::Configure));
    assert!(written.unwrap() < read.unwrap(), "{effects:?}");
    let again = network.step(Event::Link(port(3, "eth1")), at(4));
    assert!(!again.contains(&Effect::Ask(Question::Configure)), "{again:?}");
}

#[test]
fn a_pulled_cable_takes_its_neighbour_along_at_once() {
    let (mut network, _) = network("", vec![lo(), port(2, "eth0")]);
    let full = Adjacency {
        router_id: "10.0.0.9".into(),
        state: "Full".into(),
        port: "eth0".into(),
        address: None,
    };
    network.step(Event::Bird(BirdEvent::Up), at(2));
    network.step(Event::Bird(BirdEvent::Neighbours(vec![full])), at(3));
    assert!(network.neighbours.at("eth0").is_some());
    network.step(Event::Link(Link { carrier: false, ..port(2, "eth0") }), at(4));
    assert!(network.neighbours.at("eth0").is_none());
}

#[test]
fn what_the_kernel_refused_is_not_asked_again_until_the_port_is_plugged_in_again() {
    let huge = Link { mtu: 9000, ..port(2, "eth0") };
    let (mut network, effects) = network("", vec![lo(), huge.clone()]);
    let resize = Effect::Resize { link: LinkIndex::new(2), mtu: 1500 };
    assert!(effects.contains(&resize));
    let refused = Event::Refused { effect: resize.clone(), sentence: "no".into() };
    assert!(!network.step(refused, at(2)).contains(&resize));
    network.step(Event::LinkGone(LinkIndex::new(2)), at(3));
    assert!(network.step(Event::Link(huge), at(4)).contains(&resize));
}

#[test]
fn a_snapshot_forgets_what_is_no_longer_there() {
    let (mut network, _) = network("", vec![lo(), port(2, "eth0"), port(3, "eth1")]);
    let event = Event::Snapshot {
        links: vec![lo(), port(3, "eth1")],
        addresses: vec![address(1, "fd12::7", AddressState::Ready)],
    };
    let effects = network.step(event, at(2));
    assert!(
        matches!(effects.as_slice(), [Effect::WriteBirdConfig(text)] if !text.contains("eth0"))
    );
}
