// SPDX-License-Identifier: Apache-2.0
//! The way down: stage by stage, each with its deadline, and one leave at the end.

use expect_test::expect;

use super::story::{OWN_MESH, Story, ends, name, stick};
use crate::channel::Report;
use crate::event::{End, Event, Goal};

#[test]
fn a_node_goes_down_stage_by_stage_and_leaves_once() {
    let mut story = Story::ready();
    story
        .at(20.0, Event::Leave(Goal::PowerOff))
        .at(21.0, ends("kubelet", 1, End::Exit(0)))
        .at(22.0, ends("stop-pods", 1, End::Exit(0)))
        .at(23.0, ends("net", 1, End::Exit(0)))
        .at(23.1, ends("probe", 1, End::Exit(0)))
        .at(24.0, ends("log", 1, End::Exit(0)))
        .at(25.0, ends("unmount", 1, End::Exit(0)))
        .at(26.0, ends("light", 1, End::Exit(0)))
        .at(27.0, Event::Clock);
    expect![[r#"
        20.000s > the power key
        20.000s < say on the way down, to switch off
        20.000s < ask 106 to end: Term
        20.000s < say status=stopping stopping kubelet to switch off, until 47.000s
        20.000s < tell light: status=stopping stopping kubelet to switch off, until 47.000s
        20.000s ~ status=stopping stopping kubelet to switch off, until 47.000s (since 20.000s)
        21.000s > kubelet 1 ended: exit status 0
        21.000s < tell probe: unwatch kubelet
        21.000s < kill all in system/kubelet
        21.000s < start stop-pods 1: /stop-pods
        21.000s < say status=stopping stopping stop-pods to switch off, until 38.000s
        21.000s < tell light: status=stopping stopping stop-pods to switch off, until 38.000s
        21.000s ~ status=stopping stopping stop-pods to switch off, until 38.000s (since 20.000s)
        21.000s > stop-pods 1 is process 107
        21.000s < tell log: output of stop-pods
        22.000s > stop-pods 1 ended: exit status 0
        22.000s < kill all in system/stop-pods
        22.000s < ask 105 to end: Term
        22.000s < ask 103 to end: Term
        22.000s < say status=stopping stopping net, probe to switch off, until 39.000s
        22.000s < tell light: status=stopping stopping net, probe to switch off, until 39.000s
        22.000s ~ status=stopping stopping net, probe to switch off, until 39.000s (since 20.000s)
        23.000s > net 1 ended: exit status 0
        23.000s < tell probe: unwatch net
        23.000s < kill all in system/net
        23.000s < say status=stopping stopping probe to switch off, until 39.000s
        23.000s < tell light: status=stopping stopping probe to switch off, until 39.000s
        23.000s ~ status=stopping stopping probe to switch off, until 39.000s (since 20.000s)
        23.100s > probe 1 ended: exit status 0
        23.100s < kill all in system/probe
        23.100s < ask 102 to end: Term
        23.100s < say status=stopping stopping log to switch off, until 40.100s
        23.100s < tell light: status=stopping stopping log to switch off, until 40.100s
        23.100s ~ status=stopping stopping log to switch off, until 40.100s (since 20.000s)
        24.000s > log 1 ended: exit status 0
        24.000s < keep output: true
        24.000s < kill all in system/log
        24.000s < kill all in kubepods
        24.000s < start unmount 1: /unmount
        24.000s < say status=stopping stopping unmount to switch off, until 41.000s
        24.000s < tell light: status=stopping stopping unmount to switch off, until 41.000s
        24.000s ~ status=stopping stopping unmount to switch off, until 41.000s (since 20.000s)
        24.000s > unmount 1 is process 108
        25.000s > unmount 1 ended: exit status 0
        25.000s < kill all in system/unmount
        25.000s < say status=stopping all is stopped and on the disk: stick and power may be pulled
        25.000s < tell light: status=stopping all is stopped and on the disk: stick and power may be pulled
        25.000s < ask 101 to end: Term
        25.000s ~ status=stopping all is stopped and on the disk: stick and power may be pulled (since 25.000s)
        26.000s > light 1 ended: exit status 0
        26.000s < kill all in system/light
        26.000s < leave: PowerOff
        27.000s > clock
    "#]].assert_eq(&story.told());
}

#[test]
fn a_service_that_never_ends_is_killed_then_told_and_passed_over() {
    let mut story = Story::ready();
    story
        .at(20.0, Event::Leave(Goal::Reboot))
        .at(40.0, Event::Clock)
        .at(45.0, Event::Clock)
        .at(46.9, Event::Clock)
        .at(47.0, Event::Clock);
    expect![[r#"
        20.000s < say on the way down, to start again
        20.000s < ask 106 to end: Term
        20.000s < say status=stopping stopping kubelet to start again, until 47.000s
        20.000s < tell light: status=stopping stopping kubelet to start again, until 47.000s
        20.000s ~ status=stopping stopping kubelet to start again, until 47.000s (since 20.000s)
        40.000s < kill all in system/kubelet
        45.000s < start stop-pods 1: /stop-pods
        45.000s < say status=stopping stopping stop-pods to start again, until 62.000s
        45.000s < say fault: service kubelet: cannot be ended: the kernel holds it
        45.000s < tell light: status=stopping stopping stop-pods to start again, until 62.000s
        45.000s ~ status=stopping stopping stop-pods to start again, until 62.000s (since 20.000s); fault since 45.000s: service kubelet: cannot be ended: the kernel holds it
    "#]]
    .assert_eq(&story.about(&["ask", "kill", "say", "start"]));
}

/// Behind the last step nothing is told any more.
#[test]
fn who_of_the_last_stage_cannot_be_ended_is_told_before_the_machine_is_left() {
    let mut story = down_to_unmount(End::Exit(0));
    story.at(34.0, Event::Clock).at(39.0, Event::Clock);
    expect![[r#"
        39.000s < say fault: service light: cannot be ended: the kernel holds it
        39.000s < leave: PowerOff
        39.000s ~ status=stopping all is stopped and on the disk: stick and power may be pulled (since 24.000s); fault since 22.000s: service stop-pods: failed: exit status 1; fault since 39.000s: service light: cannot be ended: the kernel holds it
    "#]].assert_eq(&story.about(&["cannot be ended", "leave"]));
}

#[test]
fn a_second_wish_changes_only_where_the_way_leads() {
    let mut story = Story::ready();
    story.at(20.0, Event::Leave(Goal::PowerOff)).at(20.5, Event::Leave(Goal::Reboot));
    story.told();
    story.at(21.0, ends("kubelet", 1, End::Exit(0)));
    story.at(22.0, ends("stop-pods", 1, End::Exit(0)));
    for service in ["net", "probe", "log", "unmount", "light"] {
        story.at(23.0, ends(service, 1, End::Exit(0)));
    }
    expect![[r#"
        21.000s ~ status=stopping stopping stop-pods to start again, until 38.000s (since 20.000s)
        22.000s ~ status=stopping stopping net, probe to start again, until 39.000s (since 20.000s)
        23.000s ~ status=stopping stopping probe to start again, until 39.000s (since 20.000s)
        23.000s ~ status=stopping stopping log to start again, until 40.000s (since 20.000s)
        23.000s ~ status=stopping stopping unmount to start again, until 40.000s (since 20.000s)
        23.000s ~ status=stopping all is stopped and on the disk: stick and power may be pulled (since 23.000s)
        23.000s < leave: Reboot
    "#]].assert_eq(&story.about(&["~", "leave"]));
}

#[test]
fn what_fails_on_the_way_down_before_its_stage_comes_back() {
    let mut story = Story::ready();
    story
        .at(20.0, Event::Leave(Goal::PowerOff))
        .at(20.1, ends("net", 1, End::Signal(11)))
        .at(20.1, Event::Clock);
    expect![[r#"
        20.100s > net 1 ended: killed by signal 11
        20.100s < tell probe: unwatch net
        20.100s < kill all in system/net
        20.100s < start net 2: /net fd12:3456:789a:1:6f7d:8996:501f:a32a
        20.100s < say service net ended: killed by signal 11
        20.100s > net 2 is process 107
    "#]]
    .assert_eq(&story.about(&["net"]));
}

#[test]
fn a_stop_that_comes_before_a_run_has_its_process_reaches_the_process() {
    let mut story = Story::ready();
    story.slow = vec!["kubelet"];
    story
        .at(20.0, ends("kubelet", 1, End::Exit(1)))
        .at(21.0, Event::Clock)
        .at(21.0, Event::Leave(Goal::Reboot))
        .at(21.0, Event::Spawned { service: name("kubelet"), instance: 2, pid: 200 });
    expect![[r#"
        21.000s < start kubelet 2: /kubelet
        21.000s > kubelet 2 is process 200
        21.000s < ask 200 to end: Term
    "#]]
    .assert_eq(&story.about(&["< start", "200"]));
}

/// The way down of a small node up to the end of `unmount`.
fn down_to_unmount(unmount: End) -> Story {
    let mut story = Story::ready();
    story.at(20.0, Event::Leave(Goal::PowerOff));
    story.at(21.0, ends("kubelet", 1, End::Exit(0)));
    story.at(22.0, ends("stop-pods", 1, End::Exit(1)));
    for service in ["net", "probe", "log"] {
        story.at(23.0, ends(service, 1, End::Exit(0)));
    }
    story.told();
    story.at(24.0, ends("unmount", 1, unmount));
    story
}

#[test]
fn a_task_of_the_way_down_that_fails_is_told_and_not_tried_again() {
    let mut story = down_to_unmount(End::Exit(0));
    story.at(25.0, Event::Clock);
    expect![[r#"
        24.000s ~ status=stopping all is stopped and on the disk: stick and power may be pulled (since 24.000s); fault since 22.000s: service stop-pods: failed: exit status 1
    "#]].assert_eq(&story.about(&["~", "start"]));
}

#[test]
fn nobody_is_told_to_pull_the_stick_while_it_is_not_unmounted() {
    let mut story = down_to_unmount(End::Exit(1));
    story.at(25.0, Event::Clock).at(26.0, ends("light", 1, End::Exit(0)));
    expect![[r#"
        24.000s ~ status=stopping not all is on the disk: pull nothing before the machine is off (since 20.000s); fault since 22.000s: service stop-pods: failed: exit status 1; fault since 24.000s: service unmount: failed: exit status 1
        26.000s < leave: PowerOff
    "#]].assert_eq(&story.about(&["~", "start", "leave"]));
    let mut story = down_to_unmount(End::Signal(9));
    expect![[r#"
        24.000s ~ status=stopping not all is on the disk: pull nothing before the machine is off (since 20.000s); fault since 22.000s: service stop-pods: failed: exit status 1; fault since 24.000s: service unmount: failed: killed by signal 9
    "#]].assert_eq(&story.about(&["~"]));
}

/// Its file could not be read when the machine began, or has an error.
#[test]
fn nobody_is_told_to_pull_a_stick_that_no_task_unmounts() {
    let mut story = Story::of(&[("log.toml", "command = [\"/log\"]\n")]);
    let report = Report::Storage(stick(OWN_MESH));
    story.at(1.0, Event::Begun).at(2.0, Event::Reported { worker: name("storage"), report });
    story.at(20.0, Event::Leave(Goal::PowerOff));
    story.at(21.0, ends("log", 1, End::Exit(0)));
    expect![[r#"
        1.000s ~ status=isolated no neighbour: this machine has no mesh port; pods not seen yet (since 1.000s)
        20.000s ~ status=stopping stopping log to switch off, until 37.000s (since 20.000s)
        21.000s ~ status=stopping not all is on the disk: pull nothing before the machine is off (since 20.000s)
    "#]].assert_eq(&story.about(&["~"]));
}

#[test]
fn a_task_of_the_way_down_has_the_time_that_its_stop_table_names() {
    let unmount =
        "command = [\"/unmount\"]\nkind = \"stop\"\nstop = { stage = 7, within = \"2s\" }\n";
    let mut story = Story::of(&[("unmount.toml", unmount)]);
    story
        .at(1.0, Event::Begun)
        .at(20.0, Event::Leave(Goal::Reboot))
        .at(22.0, Event::Clock)
        .at(22.1, ends("unmount", 1, End::Signal(9)));
    expect![[r#"
        1.000s > begun
        20.000s > Ctrl-Alt-Del
        20.000s < start unmount 1: /unmount
        20.000s > unmount 1 is process 101
        22.000s > clock
        22.000s < kill all in system/unmount
        22.100s > unmount 1 ended: killed by signal 9
        22.100s < kill all in system/unmount
        22.100s < say fault: service unmount: failed: not done within 2s
        22.100s ~ status=stopping not all is on the disk: pull nothing before the machine starts again (since 20.000s); fault since 22.100s: service unmount: failed: not done within 2s
    "#]].assert_eq(&story.about(&["> ", "start unmount", "kill", "fault"]));
}
