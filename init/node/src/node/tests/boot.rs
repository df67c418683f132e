// SPDX-License-Identifier: Apache-2.0
//! From power to ready: who starts when, and who this node is.

use expect_test::expect;

use super::story::{
    OWN_MESH, SMALL, Story, ends, is_healthy, one_neighbour, pods_run, reports, says_ready, stick,
};
use crate::channel::{Report, StorageReport};
use crate::event::{End, Event};
use crate::status::Phase;

#[test]
fn nobody_starts_before_what_it_waits_for_has_been_up() {
    let mut story = Story::of(SMALL);
    story
        .at(1.0, Event::Begun)
        .at(2.0, ends("storage", 1, End::Exit(1)))
        .at(2.0, Event::Clock)
        .at(3.0, ends("storage", 2, End::Exit(0)))
        .at(4.0, says_ready("net", 1))
        .at(5.0, says_ready("probe", 1));
    expect![[r#"
        1.000s < start light 1: /light
        1.000s < start log 1: /log
        1.000s < start probe 1: /probe
        1.000s < start storage 1: /storage
        2.000s > storage 1 ended: exit status 1
        2.000s < start storage 2: /storage
        3.000s > storage 2 ended: exit status 0
        3.000s < start net 1: /net ${node_address}
        4.000s > net 1 says ready
        5.000s > probe 1 says ready
        5.000s < start kubelet 1: /kubelet
    "#]]
    .assert_eq(&story.about(&["< start", "ready", "ended"]));
}

#[test]
fn a_service_with_privileges_is_started_through_the_launcher_also_after_a_crash_of_pid_1() {
    const SERVICES: &[(&str, &str)] =
        &[("log.toml", "command = [\"/log\", \"x\"]\n[privileges]\ncapabilities = [\"SYSLOG\"]\n")];
    let mut story = Story::of(SERVICES);
    story.at(1.0, Event::Begun);
    let written = serde_json::to_vec(&story.node).unwrap();
    story.node = serde_json::from_slice(&written).unwrap();
    story.at(2.0, ends("log", 1, End::Exit(1))).at(2.0, Event::Clock);
    expect![[r#"
        1.000s < start log 1: /usr/bin/kubermesh confine /usr/lib/kubermesh/services/log.toml -- /log x
        2.000s < start log 2: /usr/bin/kubermesh confine /usr/lib/kubermesh/services/log.toml -- /log x
    "#]]
    .assert_eq(&story.about(&["< start"]));
}

#[test]
fn the_way_from_power_to_ready_has_a_sentence_at_each_step() {
    let mut story = Story::of(SMALL);
    story
        .at(1.0, Event::Begun)
        .at(2.0, says_ready("probe", 1))
        .at(3.0, reports("storage", Report::Storage(stick(OWN_MESH))))
        .at(3.0, ends("storage", 1, End::Exit(0)))
        .at(4.0, says_ready("net", 1))
        .at(5.0, is_healthy("kubelet", 1))
        .at(6.0, pods_run(0, 1))
        .at(7.0, reports("net", Report::Network(one_neighbour())))
        .at(8.0, pods_run(1, 1));
    expect![[r#"
        1.000s ~ status=booting waiting for probe to answer since 1.000s, until 61.000s (since 0.000s)
        2.000s ~ status=booting storage is at work since 1.000s, until 61.000s (since 0.000s)
        3.000s ~ status=booting waiting for net to answer since 3.000s, until 63.000s (since 0.000s)
        4.000s ~ status=booting waiting for kubelet to answer since 4.000s, until 64.000s (since 0.000s)
        5.000s ~ status=isolated no neighbour: this machine has no mesh port; pods not seen yet (since 5.000s)
        6.000s ~ status=isolated no neighbour: this machine has no mesh port; 0 of 1 pods run, beacon waits for its image (since 5.000s)
        7.000s ~ status=meshed 1 neighbour; 0 of 1 pods run, beacon waits for its image (since 7.000s)
        8.000s ~ status=ready 1 neighbour; 1 of 1 pods run (since 8.000s)
    "#]]
    .assert_eq(&story.about(&["~"]));
}

#[test]
fn what_storage_reports_makes_the_node_who_it_is_before_net_starts() {
    let mut story = Story::of(SMALL);
    story.at(1.0, Event::Begun).told();
    story
        .at(3.0, reports("storage", Report::Storage(stick(OWN_MESH))))
        .at(3.0, ends("storage", 1, End::Exit(0)));
    expect![[r#"
        3.000s < write /etc/hostname: "node-dbaa9297"
        3.000s < write /etc/machine-id: "467e4a753308892942b20e6ab28909b7"
        3.000s < write /etc/hosts: "127.0.0.1 localhost"
        3.000s < write /run/kubermesh/plan.json: "{"
        3.000s < host name node-dbaa9297
        3.000s < say this is node-dbaa9297, fd12:3456:789a:1:6f7d:8996:501f:a32a, router 101.135.246.230
        3.000s < start net 1: /net fd12:3456:789a:1:6f7d:8996:501f:a32a
    "#]].assert_eq(&story.about(&["write", "host name", "this is", "start"]));
}

#[test]
fn a_bad_key_of_node_toml_is_a_fault_and_leaves_the_node_in_its_mesh() {
    let mut story = Story::of(SMALL);
    story.at(1.0, Event::Begun).told();
    let node_toml = "[mesh]\nprefix = \"fd12:3456:789a:1::/64\"\nhelo = \"1s\"\n";
    story
        .at(3.0, reports("storage", Report::Storage(stick(node_toml))))
        .at(3.0, ends("storage", 1, End::Exit(0)));
    expect![[r#"
        3.000s < host name node-dbaa9297
        3.000s < say fault: node.toml: node.toml is not a node.toml: TOML parse error at line 3, column 1 | 3 | helo = "1s" | ^^^^ unknown field `helo`, expected one of `prefix`, `hello`, `dead`, `bfd`
        3.000s < start net 1: /net fd12:3456:789a:1:6f7d:8996:501f:a32a
    "#]].assert_eq(&story.about(&["fault:", "host name", "start"]));
    assert_eq!(story.node.status().phase, Phase::Booting);
}

#[test]
fn a_broken_node_toml_without_a_prefix_says_both() {
    let mut story = Story::of(SMALL);
    story
        .at(1.0, Event::Begun)
        .at(3.0, reports("storage", Report::Storage(stick("[mesh\nhello = \"1s\"\n"))));
    expect![[r#"
        3.000s < say fault: node.toml: node.toml is no TOML, only what stands before this line is taken: TOML parse error at line 1, column 6 | 1 | [mesh | ^ unclosed table, expected `]`
        3.000s < say fault: node.toml: no [mesh] prefix of its own: uses the one of all who chose none
    "#]].assert_eq(&story.about(&["fault:"]));
}

#[test]
fn a_bad_service_file_is_a_fault_and_takes_no_other_down() {
    let files =
        [("bad.toml", "command = [\"relative\"]\n"), ("good.toml", "command = [\"/good\"]\n")];
    let mut story = Story::of(&files);
    story.at(1.0, Event::Begun);
    expect![[r#"
        1.000s < start good 1: /good
        1.000s < say fault: service file: bad.toml: command = ["relative"], allowed is an absolute path and its arguments
    "#]].assert_eq(&story.about(&["fault:", "start"]));
}

#[test]
fn a_second_report_of_storage_takes_the_place_of_the_first_and_of_its_faults() {
    let mut story = Story::of(SMALL);
    let nobody = StorageReport { identity: "nobody".into(), ..stick(OWN_MESH) };
    story
        .at(1.0, Event::Begun)
        .at(2.0, reports("storage", Report::Storage(nobody)))
        .at(3.0, reports("storage", Report::Storage(stick(""))))
        .at(4.0, reports("storage", Report::Storage(stick(""))))
        .at(5.0, reports("storage", Report::Storage(stick(OWN_MESH))));
    expect![[r#"
        1.000s ~ status=booting waiting for probe to answer since 1.000s, until 61.000s (since 0.000s)
        2.000s ~ status=booting waiting for probe to answer since 1.000s, until 61.000s (since 0.000s); fault since 2.000s: service storage: "nobody" is no identity: 32 hex digits
        3.000s ~ status=booting waiting for probe to answer since 1.000s, until 61.000s (since 0.000s); fault since 3.000s: node.toml: no [mesh] prefix of its own: uses the one of all who chose none
        5.000s ~ status=booting waiting for probe to answer since 1.000s, until 61.000s (since 0.000s)
    "#]].assert_eq(&story.about(&["~"]));
}

#[test]
fn a_diamond_is_gone_through_in_the_order_of_starting_however_deep_it_is() {
    let plain = "command = [\"/x\"]\nready.notify = true\n";
    let mut files = vec![("a0.toml".to_owned(), plain.to_owned())];
    for layer in 1..=30 {
        let below = layer - 1;
        let after =
            if below == 0 { "[\"a0\"]".into() } else { format!("[\"a{below}\", \"b{below}\"]") };
        for side in ["a", "b"] {
            files.push((format!("{side}{layer}.toml"), format!("after = {after}\n{plain}")));
        }
    }
    let pods =
        "pods = { cri = \"/c\", manifests = \"/m\", every = \"5s\", cgroup = \"kubepods\" }\n";
    files.push(("top.toml".into(), format!("after = [\"a30\", \"b30\"]\n{plain}{pods}")));
    let files: Vec<(&str, &str)> =
        files.iter().map(|(file, text)| (file.as_str(), text.as_str())).collect();
    let mut story = Story::of(&files);
    story.at(1.0, Event::Begun).at(2.0, says_ready("a0", 1)).at(3.0, says_ready("a1", 1));
    expect![[r#"
        1.000s ~ status=booting waiting for a0 to answer since 1.000s, until 61.000s (since 0.000s)
        2.000s ~ status=booting waiting for a1 to answer since 2.000s, until 62.000s (since 0.000s)
        3.000s ~ status=booting waiting for b1 to answer since 2.000s, until 62.000s (since 0.000s)
    "#]]
    .assert_eq(&story.about(&["~"]));
}
