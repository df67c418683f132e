// SPDX-License-Identifier: Apache-2.0
//! Phases, their sentences and the faults beside them.

use expect_test::expect;

use super::story::{Story, ends, one_neighbour, pods_run, port, reports, says_ready, stick};
use crate::channel::{AddressState, NetworkReport, Port, Report, Wrong};
use crate::event::{End, Event};

fn ports(ports: Vec<Port>) -> Event {
    reports("net", Report::Network(NetworkReport { ports, ..NetworkReport::default() }))
}

#[test]
fn a_node_without_a_neighbour_says_which_port_lacks_what() {
    let mut story = Story::ready();
    story
        .at(20.0, ports(vec![port("eth0", false, false)]))
        .at(21.0, ports(vec![port("eth0", true, false)]))
        .at(22.0, ports(vec![port("eth0", true, false), port("eth1", false, false)]))
        .at(23.0, ports(vec![]))
        .at(24.0, ports(vec![port("eth0", true, true), port("eth1", true, true)]));
    expect![[r#"
        20.000s ~ status=isolated no neighbour: no cable on eth0; 1 of 1 pods run (since 20.000s)
        21.000s ~ status=isolated no neighbour: no router answers on eth0; 1 of 1 pods run (since 20.000s)
        22.000s ~ status=isolated no neighbour: no router answers on eth0, no cable on eth1; 1 of 1 pods run (since 20.000s)
        23.000s ~ status=isolated no neighbour: this machine has no mesh port; 1 of 1 pods run (since 20.000s)
        24.000s ~ status=ready 2 neighbours; 1 of 1 pods run (since 24.000s)
    "#]].assert_eq(&story.about(&["~"]));
}

#[test]
fn a_pod_that_stops_takes_the_node_from_ready_to_meshed() {
    let mut story = Story::ready();
    story.at(20.0, pods_run(0, 1)).at(21.0, pods_run(1, 1));
    expect![[r#"
        20.000s ~ status=meshed 1 neighbour; 0 of 1 pods run, beacon waits for its image (since 20.000s)
        21.000s ~ status=ready 1 neighbour; 1 of 1 pods run (since 21.000s)
    "#]].assert_eq(&story.about(&["~"]));
}

#[test]
fn four_failures_in_a_row_of_what_pods_need_are_a_failed_node_until_it_runs() {
    let mut story = Story::ready();
    let mut now = 20.0;
    for (run, rest) in [(1, 1.0), (2, 5.0), (3, 30.0), (4, 30.0)] {
        story.at(now, ends("kubelet", run, End::Exit(1)));
        now += rest;
        story.at(now, Event::Clock);
    }
    story.at(90.0, super::story::is_healthy("kubelet", 5));
    expect![[r#"
        20.000s ~ status=meshed 1 neighbour; kubelet failed (exit status 1), tries again at 21.000s (since 20.000s); fault since 20.000s: service kubelet: failed: exit status 1
        21.000s ~ status=meshed 1 neighbour; waiting for kubelet to answer since 21.000s, until 81.000s (exit status 1) (since 20.000s); fault since 20.000s: service kubelet: failed: exit status 1
        21.000s ~ status=meshed 1 neighbour; kubelet failed (exit status 1), tries again at 26.000s (since 20.000s); fault since 20.000s: service kubelet: failed 2 times in a row: exit status 1
        26.000s ~ status=meshed 1 neighbour; waiting for kubelet to answer since 26.000s, until 86.000s (exit status 1) (since 20.000s); fault since 20.000s: service kubelet: failed 2 times in a row: exit status 1
        26.000s ~ status=meshed 1 neighbour; kubelet failed (exit status 1), tries again at 56.000s (since 20.000s); fault since 20.000s: service kubelet: failed 3 times in a row: exit status 1
        56.000s ~ status=meshed 1 neighbour; waiting for kubelet to answer since 56.000s, until 116.000s (exit status 1) (since 20.000s); fault since 20.000s: service kubelet: failed 3 times in a row: exit status 1
        56.000s ~ status=failed kubelet failed 4 times: exit status 1 (since 56.000s); fault since 20.000s: service kubelet: failed 4 times in a row: exit status 1
        90.000s ~ status=ready 1 neighbour; 1 of 1 pods run (since 90.000s)
    "#]].assert_eq(&story.about(&["~"]));
}

#[test]
fn a_service_that_no_pod_needs_makes_the_node_degraded_however_often_it_fails() {
    let mut story = Story::ready();
    let mut now = 20.0;
    for run in 1..=5 {
        story.at(now, ends("light", run, End::Exit(1)));
        now += 30.0;
        story.at(now, Event::Clock);
    }
    story.at(200.0, says_ready("light", 6));
    expect![[r#"
        20.000s ~ status=degraded 1 neighbour; 1 of 1 pods run (since 10.000s); fault since 20.000s: service light: failed: exit status 1
        50.000s ~ status=degraded 1 neighbour; 1 of 1 pods run (since 10.000s); fault since 20.000s: service light: failed 2 times in a row: exit status 1
        80.000s ~ status=degraded 1 neighbour; 1 of 1 pods run (since 10.000s); fault since 20.000s: service light: failed 3 times in a row: exit status 1
        110.000s ~ status=degraded 1 neighbour; 1 of 1 pods run (since 10.000s); fault since 20.000s: service light: failed 4 times in a row: exit status 1
        140.000s ~ status=degraded 1 neighbour; 1 of 1 pods run (since 10.000s); fault since 20.000s: service light: failed 5 times in a row: exit status 1
        200.000s ~ status=ready 1 neighbour; 1 of 1 pods run (since 10.000s)
    "#]].assert_eq(&story.about(&["~"]));
}

#[test]
fn a_fault_keeps_its_moment_while_others_come_and_go() {
    let mut story = Story::ready();
    let wrong = |subject: &str, sentence: &str| Wrong {
        subject: subject.into(),
        sentence: sentence.into(),
    };
    let faults = |faults: Vec<Wrong>| {
        reports("net", Report::Network(NetworkReport { faults, ..one_neighbour() }))
    };
    let (half, twice) = (wrong("port eth0", "half speed"), wrong("router id", "is there twice"));
    story
        .at(20.0, faults(vec![half.clone()]))
        .at(21.0, faults(vec![twice.clone(), half.clone()]))
        .at(22.0, faults(vec![twice.clone()]))
        .at(23.0, faults(vec![half, twice]))
        .at(24.0, faults(vec![]));
    expect![[r#"
        20.000s < say fault: port eth0: half speed
        20.000s ~ status=degraded 1 neighbour; 1 of 1 pods run (since 10.000s); fault since 20.000s: port eth0: half speed
        21.000s < say fault: router id: is there twice
        21.000s ~ status=degraded 1 neighbour; 1 of 1 pods run (since 10.000s); fault since 20.000s: port eth0: half speed; fault since 21.000s: router id: is there twice
        22.000s ~ status=degraded 1 neighbour; 1 of 1 pods run (since 10.000s); fault since 21.000s: router id: is there twice
        23.000s < say fault: port eth0: half speed
        23.000s ~ status=degraded 1 neighbour; 1 of 1 pods run (since 10.000s); fault since 21.000s: router id: is there twice; fault since 23.000s: port eth0: half speed
        24.000s ~ status=ready 1 neighbour; 1 of 1 pods run (since 10.000s)
    "#]].assert_eq(&story.about(&["~", "say fault"]));
}

#[test]
fn a_duplicate_address_on_a_cable_is_a_fault_of_its_port() {
    let mut story = Story::ready();
    let twin = Port { address: AddressState::Duplicate, ..port("eth0", true, true) };
    story.at(20.0, ports(vec![twin]));
    expect![[r#"
        20.000s ~ status=degraded 1 neighbour; 1 of 1 pods run (since 10.000s); fault since 20.000s: port eth0: somebody on its cable has the same link-local address
    "#]].assert_eq(&story.about(&["~"]));
}

#[test]
fn what_storage_found_wrong_is_told() {
    let mut story = Story::ready();
    let faults = vec![Wrong { subject: "/dev/sda".into(), sentence: "is read-only".into() }];
    let report = crate::channel::StorageReport { faults, ..stick(super::story::OWN_MESH) };
    story.at(20.0, reports("storage", Report::Storage(report)));
    expect![[r#"
        20.000s ~ status=degraded 1 neighbour; 1 of 1 pods run (since 10.000s); fault since 20.000s: /dev/sda: is read-only
    "#]].assert_eq(&story.about(&["~"]));
}

#[test]
fn a_fault_that_only_changes_its_words_keeps_its_moment() {
    let mut story = Story::ready();
    for (now, run) in [(20.0, 1), (40.0, 2), (60.0, 3)] {
        story.at(now, ends("light", run, End::Exit(1))).at(now + 10.0, Event::Clock);
    }
    expect![[r#"
        20.000s ~ status=degraded 1 neighbour; 1 of 1 pods run (since 10.000s); fault since 20.000s: service light: failed: exit status 1
        40.000s ~ status=degraded 1 neighbour; 1 of 1 pods run (since 10.000s); fault since 20.000s: service light: failed 2 times in a row: exit status 1
        60.000s ~ status=degraded 1 neighbour; 1 of 1 pods run (since 10.000s); fault since 20.000s: service light: failed 3 times in a row: exit status 1
    "#]].assert_eq(&story.about(&["~"]));
}
