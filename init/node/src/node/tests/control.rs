// SPDX-License-Identifier: Apache-2.0
//! What the control socket is told.

use expect_test::expect;

use super::story::{SMALL, Story, asks, ends, name};
use crate::control::Request;
use crate::event::{End, Event, Goal};
use crate::time::Span;

fn restart(service: &str) -> Request {
    Request::Restart { service: name(service) }
}

#[test]
fn only_root_acts_and_everybody_reads() {
    let mut story = Story::ready();
    for request in [
        restart("net"),
        Request::Identify { lasts: Span::from_secs(60) },
        Request::Reboot {},
        Request::PowerOff {},
        Request::UpgradeInit {},
        Request::Light {},
    ] {
        story.at(20.0, Event::Asked { client: 7, request, is_root: false });
    }
    expect![[r#"
        20.000s < answer 7: org.kubermesh.Node.NotAllowed {"sentence":"this is for root"}
        20.000s < answer 7: org.kubermesh.Node.NotAllowed {"sentence":"this is for root"}
        20.000s < answer 7: org.kubermesh.Node.NotAllowed {"sentence":"this is for root"}
        20.000s < answer 7: org.kubermesh.Node.NotAllowed {"sentence":"this is for root"}
        20.000s < answer 7: org.kubermesh.Node.NotAllowed {"sentence":"this is for root"}
        20.000s < answer 7: {"lights":{"devices":[],"faults":[]},"shows":"ready","words":"green, steady"}
    "#]].assert_eq(&story.about(&["<"]));
}

#[test]
fn a_restart_asks_it_to_end_and_starts_it_at_once() {
    let mut story = Story::ready();
    story
        .at(20.0, asks(restart("net")))
        .at(20.1, ends("net", 1, End::Exit(0)))
        .at(20.2, Event::Ready { service: name("net"), instance: 2 });
    expect![[r#"
        20.000s > root asks Restart { service: ServiceName("net") }
        20.000s < ask 105 to end: Term
        20.000s < answer 1: {}
        20.000s ~ status=meshed 1 neighbour; waiting for net to end since 20.000s, until 30.000s (since 20.000s)
        20.100s < kill all in system/net
        20.100s < start net 2: /net fd12:3456:789a:1:6f7d:8996:501f:a32a
        20.100s < say status=meshed 1 neighbour; waiting for net to answer since 20.100s, until 80.100s
        20.100s < tell light: status=meshed 1 neighbour; waiting for net to answer since 20.100s, until 80.100s
        20.100s ~ status=meshed 1 neighbour; waiting for net to answer since 20.100s, until 80.100s (since 20.000s)
        20.200s ~ status=ready 1 neighbour; 1 of 1 pods run (since 20.200s)
    "#]].assert_eq(&story.about(&["answer", "ask", "start", "kill", "~"]));
}

#[test]
fn a_restart_of_nobody_or_on_the_way_down_is_refused_in_words() {
    let mut story = Story::ready();
    story
        .at(20.0, asks(restart("nobody")))
        .at(21.0, Event::Leave(Goal::Reboot))
        .at(21.1, asks(restart("net")));
    expect![[r#"
        20.000s < answer 1: org.kubermesh.Node.NoSuchService {"service":"nobody"}
        21.100s < answer 1: org.kubermesh.Node.Refused {"sentence":"the node is on its way down"}
    "#]]
    .assert_eq(&story.about(&["answer"]));
}

#[test]
fn another_init_rehearses_but_not_on_the_way_down() {
    let mut story = Story::ready();
    story
        .at(20.0, asks(Request::UpgradeInit {}))
        .at(21.0, Event::Leave(Goal::Reboot))
        .at(21.1, asks(Request::UpgradeInit {}));
    expect![[r#"
        20.000s < let the program of 1 rehearse
        21.100s < answer 1: org.kubermesh.Node.Refused {"sentence":"the node is on its way down"}
    "#]]
    .assert_eq(&story.about(&["answer", "rehearse"]));
}

#[test]
fn identify_goes_to_the_light_for_an_hour_at_most() {
    let mut story = Story::ready();
    story
        .at(20.0, asks(Request::Identify { lasts: Span::from_secs(60) }))
        .at(21.0, asks(Request::Identify { lasts: Span::from_secs(3601) }));
    expect![[r#"
        20.000s < tell light: identify for 1min
        20.000s < answer 1: {}
        21.000s < answer 1: org.kubermesh.Node.Refused {"sentence":"lasts = 3601s, allowed is 0s to 1h"}
    "#]].assert_eq(&story.about(&["<"]));
}

#[test]
fn why_names_the_conditions_in_the_order_of_a_boot() {
    let mut story = Story::of(SMALL);
    story.at(1.0, Event::Begun).told();
    story.at(2.0, asks(Request::Why {}));
    let told = story.about(&["answer"]).replace("},{", "},\n{");
    expect![[r#"
        2.000s < answer 1: {"conditions":[{"met":false,"name":"service probe","sentence":"waiting for probe to answer since 1.000s, until 61.000s"},
        {"met":false,"name":"service storage","sentence":"storage is at work since 1.000s, until 61.000s"},
        {"met":false,"name":"service net","sentence":"net waits for storage"},
        {"met":false,"name":"service kubelet","sentence":"kubelet waits for net, probe"},
        {"met":false,"name":"a neighbour on a cable","sentence":"no neighbour: this machine has no mesh port"},
        {"met":false,"name":"the pods run","sentence":"pods not seen yet"}]}
    "#]].assert_eq(&told);
}

#[test]
fn services_are_told_by_name_with_pid_and_sentence() {
    let mut story = Story::ready();
    story.at(20.0, asks(Request::Services {}));
    let told = story.about(&["answer"]).replace("},{", "},\n{");
    expect![[r#"
        20.000s < answer 1: {"services":[{"failures":0,"name":"kubelet","pid":106,"sentence":"kubelet runs since 5.000s","since":5000,"starts":1,"state":"running"},
        {"failures":0,"name":"light","pid":101,"sentence":"light runs since 2.000s","since":2000,"starts":1,"state":"running"},
        {"failures":0,"name":"log","pid":102,"sentence":"log runs since 2.000s","since":2000,"starts":1,"state":"running"},
        {"failures":0,"name":"net","pid":105,"sentence":"net runs since 4.000s","since":4000,"starts":1,"state":"running"},
        {"failures":0,"name":"probe","pid":103,"sentence":"probe runs since 2.000s","since":2000,"starts":1,"state":"running"},
        {"failures":0,"name":"stop-pods","pid":null,"sentence":"stop-pods is for the way down","since":0,"starts":0,"state":"stopped"},
        {"failures":0,"name":"storage","pid":null,"sentence":"storage is done since 3.000s","since":3000,"starts":1,"state":"done"},
        {"failures":0,"name":"unmount","pid":null,"sentence":"unmount is for the way down","since":0,"starts":0,"state":"stopped"}]}
    "#]].assert_eq(&told);
}

#[test]
fn a_restart_of_what_cannot_start_now_says_why() {
    let mut story = Story::of(SMALL);
    story
        .at(1.0, Event::Begun)
        .at(2.0, Event::Ready { service: name("probe"), instance: 1 })
        .at(3.0, asks(restart("kubelet")))
        .at(3.0, asks(restart("unmount")));
    expect![[r#"
        3.000s < answer 1: org.kubermesh.Node.Refused {"sentence":"kubelet waits for net"}
        3.000s < answer 1: org.kubermesh.Node.Refused {"sentence":"unmount is for the way down"}
    "#]]
    .assert_eq(&story.about(&["< answer"]));
}
