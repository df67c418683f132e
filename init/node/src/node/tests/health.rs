// SPDX-License-Identifier: Apache-2.0
//! Who is looked at, what is believed, and what a worker that starts again must hear.

use expect_test::expect;

use super::story::{OWN_MESH, SMALL, Story, ends, health, is_healthy, reports, says_ready, stick};
use crate::channel::{Report, StorageReport};
use crate::event::{End, Event};
use crate::time::Time;

const PROBE: &str = "command = [\"/probe\"]\nworker = true\nready.notify = true\n";

#[test]
fn a_late_report_about_an_old_run_is_not_believed() {
    let mut story = Story::ready();
    story
        .at(20.0, ends("kubelet", 1, End::Signal(9)))
        .at(21.0, Event::Clock)
        .at(21.1, is_healthy("kubelet", 1))
        .at(21.2, health("kubelet", 1, false, "answered 500"))
        .at(21.3, says_ready("kubelet", 1))
        .at(21.4, ends("kubelet", 1, End::Exit(0)))
        .at(22.0, is_healthy("kubelet", 2));
    expect![[r#"
        20.000s > kubelet 1 ended: killed by signal 9
        20.000s ~ status=meshed 1 neighbour; kubelet failed (killed by signal 9), tries again at 21.000s (since 20.000s); fault since 20.000s: service kubelet: failed: killed by signal 9
        21.000s < start kubelet 2: /kubelet
        21.000s ~ status=meshed 1 neighbour; waiting for kubelet to answer since 21.000s, until 81.000s (killed by signal 9) (since 20.000s); fault since 20.000s: service kubelet: failed: killed by signal 9
        21.000s > kubelet 2 is process 107
        21.100s > probe reports kubelet 1 healthy: answered 200
        21.200s > probe reports kubelet 1 unhealthy: answered 500
        21.300s > kubelet 1 says ready
        21.400s > kubelet 1 ended: exit status 0
        22.000s > probe reports kubelet 2 healthy: answered 200
        22.000s ~ status=ready 1 neighbour; 1 of 1 pods run (since 22.000s)
    "#]].assert_eq(&story.about(&["> kubelet", "> probe", "< start", "~"]));
}

#[test]
fn a_service_that_answers_no_longer_is_killed_and_rests() {
    let mut story = Story::ready();
    story
        .at(20.0, health("kubelet", 1, false, "answered 500"))
        .at(20.1, ends("kubelet", 1, End::Signal(9)))
        .at(21.1, Event::Clock);
    expect![[r#"
        20.000s < say service kubelet is unhealthy: answered 500
        20.000s < kill all in system/kubelet
        20.000s < say status=meshed 1 neighbour; waiting for kubelet to end since 20.000s, until 25.000s (answered 500)
        20.100s < kill all in system/kubelet
        20.100s < say status=meshed 1 neighbour; kubelet failed (answered 500), tries again at 21.100s
        20.100s < say fault: service kubelet: failed: answered 500
        21.100s < start kubelet 2: /kubelet
        21.100s < say status=meshed 1 neighbour; waiting for kubelet to answer since 21.100s, until 81.100s (answered 500)
    "#]].assert_eq(&story.about(&["< kill", "< start", "< say"]));
}

#[test]
fn a_worker_that_cannot_be_told_something_is_started_again_and_told_all_that_holds() {
    let mut story = Story::ready();
    let unwell = health("light", 1, false, "does not read what it is told");
    let Event::Reported { report, .. } = unwell else { unreachable!() };
    story
        .at(20.0, reports("light", report))
        .at(20.1, ends("light", 1, End::Signal(9)))
        .at(21.1, Event::Clock);
    expect![[r#"
        20.000s < say service light is unhealthy: does not read what it is told
        20.000s < kill all in system/light
        20.100s < kill all in system/light
        20.100s < start light 2: /light
        20.100s < tell light: status=degraded 1 neighbour; 1 of 1 pods run
    "#]]
    .assert_eq(&story.about(&["< kill", "< start", "< say service", "< tell light"]));
}

#[test]
fn what_a_log_read_that_cannot_be_ended_is_kept_by_pid_1() {
    let mut story = Story::ready();
    story
        .at(20.0, health("log", 1, false, "reads no more"))
        .at(25.0, Event::Clock)
        .at(30.0, Event::Clock)
        .at(35.0, Event::Clock);
    expect![[r#"
        20.000s < say service log is unhealthy: reads no more
        20.000s < kill all in system/log
        25.000s < keep output: true
    "#]]
    .assert_eq(&story.about(&["< kill", "< keep", "< say service log"]));
}

#[test]
fn probe_hears_all_that_holds_when_it_starts_again() {
    let mut story = Story::ready();
    story.at(20.0, ends("probe", 1, End::Signal(9))).at(20.0, Event::Clock);
    expect![[r#"
        20.000s > probe 1 ended: killed by signal 9
        20.000s < kill all in system/probe
        20.000s < start probe 2: /probe
        20.000s < say service probe ended: killed by signal 9
        20.000s < say status=meshed 1 neighbour; waiting for probe to answer since 20.000s, until 80.000s (killed by signal 9)
        20.000s < say fault: service probe: failed: killed by signal 9
        20.000s < tell light: status=meshed 1 neighbour; waiting for probe to answer since 20.000s, until 80.000s (killed by signal 9)
        20.000s ~ status=meshed 1 neighbour; waiting for probe to answer since 20.000s, until 80.000s (killed by signal 9) (since 20.000s); fault since 20.000s: service probe: failed: killed by signal 9
        20.000s > probe 2 is process 107
        20.000s < tell probe: watch kubelet 1 by Http("http://[::1]:10248/healthz") every 10s, 3 failures
        20.000s < tell probe: watch net 1 by Ping("/run/net") every 10s, 3 failures
        20.000s < tell probe: watch the pods of /etc/manifests
    "#]].assert_eq(&story.about(&["probe"]));
}

#[test]
fn a_light_that_starts_again_hears_the_status_as_it_is() {
    let mut story = Story::ready();
    story.at(20.0, ends("light", 1, End::Signal(9))).at(20.0, Event::Clock);
    expect![[r#"
        20.000s < tell light: status=degraded 1 neighbour; 1 of 1 pods run
    "#]]
    .assert_eq(&story.about(&["tell light"]));
}

#[test]
fn while_the_log_worker_is_down_the_services_output_is_kept_by_pid_1() {
    let mut story = Story::ready();
    story
        .at(20.0, ends("log", 1, End::Signal(9)))
        .at(20.0, Event::Clock)
        .at(21.0, says_ready("log", 2));
    expect![[r#"
        20.000s < keep output: true
        20.000s < tell log: output of kubelet
        20.000s < tell log: output of light
        20.000s < tell log: output of log
        20.000s < tell log: output of net
        20.000s < tell log: output of probe
        20.000s < tell log: output of storage
        20.000s < tell log: storage has reported
        21.000s < keep output: false
    "#]]
    .assert_eq(&story.about(&["keep output", "tell log"]));
}

#[test]
fn probe_is_restarted_after_two_pings_without_an_answer() {
    let mut story = Story::of(&[("probe.toml", PROBE)]);
    story
        .at(1.0, Event::Begun)
        .at(2.0, says_ready("probe", 1))
        .at(20.0, Event::WatchdogTick)
        .at(20.1, reports("probe", Report::Pong { number: 1 }))
        .at(40.0, Event::WatchdogTick)
        .at(60.0, Event::WatchdogTick)
        .at(80.0, Event::WatchdogTick);
    expect![[r#"
        20.000s > tick
        20.000s < feed the watchdog
        20.000s < tell probe: ping 1
        20.100s > probe reports pong 1
        40.000s > tick
        40.000s < feed the watchdog
        40.000s < tell probe: ping 2
        60.000s > tick
        60.000s < feed the watchdog
        60.000s < tell probe: ping 3
        80.000s > tick
        80.000s < feed the watchdog
        80.000s < say service probe is unhealthy: answers no ping of PID 1
        80.000s < kill all in system/probe
    "#]]
    .assert_eq(&story.about(&["tick", "feed", "ping", "pong", "kill"]));
}

#[test]
fn a_node_that_is_late_with_a_deadline_of_its_own_does_not_feed_the_watchdog() {
    let mut story = Story::of(&[("probe.toml", PROBE)]);
    story
        .at(1.0, Event::Begun)
        .at(71.0, Event::WatchdogTick)
        .at(71.1, Event::WatchdogTick)
        .at(71.2, Event::Clock)
        .at(71.2, Event::WatchdogTick);
    expect![[r#"
        71.000s > tick
        71.000s < feed the watchdog
        71.100s > tick
        71.200s > clock
        71.200s < kill all in system/probe
        71.200s > tick
        71.200s < feed the watchdog
    "#]]
    .assert_eq(&story.about(&["tick", "feed", "clock", "kill"]));
}

#[test]
fn a_word_of_its_own_is_not_the_answer_that_its_file_waits_for() {
    let mut story = Story::ready();
    story
        .at(20.0, ends("kubelet", 1, End::Exit(0)))
        .at(21.0, Event::Clock)
        .at(21.5, says_ready("kubelet", 2))
        .at(22.0, is_healthy("kubelet", 2));
    expect![[r#"
        20.000s > kubelet 1 ended: exit status 0
        20.000s ~ status=meshed 1 neighbour; kubelet failed (exit status 0), tries again at 21.000s (since 20.000s); fault since 20.000s: service kubelet: failed: exit status 0
        21.000s ~ status=meshed 1 neighbour; waiting for kubelet to answer since 21.000s, until 81.000s (exit status 0) (since 20.000s); fault since 20.000s: service kubelet: failed: exit status 0
        21.000s > kubelet 2 is process 107
        21.500s > kubelet 2 says ready
        22.000s > probe reports kubelet 2 healthy: answered 200
        22.000s ~ status=ready 1 neighbour; 1 of 1 pods run (since 22.000s)
    "#]].assert_eq(&story.about(&["> kubelet", "> probe", "~"]));
}

#[test]
fn the_log_worker_is_handed_each_output_once() {
    let mut story = Story::of(SMALL);
    story.refused = vec!["probe"];
    story.at(1.0, Event::Begun).at(1.5, says_ready("log", 1));
    story.refused.clear();
    story.at(2.0, Event::Clock).at(3.0, ends("probe", 2, End::Exit(1))).at(4.0, Event::Clock);
    expect![[r#"
        1.000s < start probe 1: /probe
        1.000s < tell log: output of light
        1.000s < tell log: output of log
        1.000s > probe 1 cannot start: no such file
        1.000s < tell log: output of storage
        1.500s > log 1 says ready
        1.500s < keep output: false
        2.000s < start probe 2: /probe
        2.000s > probe 2 is process 104
        2.000s < tell log: output of probe
        3.000s > probe 2 ended: exit status 1
    "#]]
    .assert_eq(&story.about(&["output", "probe 1", "probe 2", "log 1 says"]));
}

#[test]
fn without_a_log_worker_pid_1_keeps_the_output_itself() {
    let mut story = Story::of(&[("net.toml", "command = [\"/net\"]\n")]);
    story.at(1.0, Event::Begun).at(2.0, Event::Recovered { cause: "SIGSEGV".into() });
    expect![[r#"
        2.000s < keep output: true
    "#]]
    .assert_eq(&story.about(&["output"]));
}

#[test]
fn probe_hears_nothing_of_what_it_does_not_look_at() {
    let mut story = Story::of(SMALL);
    story
        .at(1.0, Event::Begun)
        .at(2.0, says_ready("probe", 1))
        .at(3.0, says_ready("log", 1))
        .at(4.0, ends("storage", 1, End::Exit(0)))
        .at(5.0, ends("light", 1, End::Exit(0)));
    expect![[r#""#]].assert_eq(&story.about(&["tell probe"]));
}

#[test]
fn a_probe_that_starts_again_is_not_blamed_for_the_pings_of_the_run_before() {
    let mut story = Story::of(&[("probe.toml", PROBE)]);
    story
        .at(1.0, Event::Begun)
        .at(2.0, says_ready("probe", 1))
        .at(20.0, Event::WatchdogTick)
        .at(40.0, Event::WatchdogTick)
        .at(41.0, ends("probe", 1, End::Exit(1)))
        .at(41.0, Event::Clock)
        .at(42.0, says_ready("probe", 2))
        .at(60.0, Event::WatchdogTick)
        .at(60.1, reports("probe", Report::Pong { number: 99 }))
        .at(80.0, Event::WatchdogTick)
        .at(100.0, Event::WatchdogTick)
        .at(120.0, Event::WatchdogTick);
    expect![[r#"
        20.000s < tell probe: ping 1
        40.000s < tell probe: ping 2
        41.000s > probe 1 ended: exit status 1
        41.000s < kill all in system/probe
        41.000s < say service probe ended: exit status 1
        60.000s < tell probe: ping 3
        60.100s > probe reports pong 99
        80.000s < tell probe: ping 4
        100.000s < tell probe: ping 5
        120.000s < say service probe is unhealthy: answers no ping of PID 1
        120.000s < kill all in system/probe
        120.000s < say fault: service probe: failed: answers no ping of PID 1
        120.000s ~ status=isolated no neighbour: this machine has no mesh port; pods not seen yet (since 1.000s); fault since 120.000s: service probe: failed: answers no ping of PID 1
    "#]].assert_eq(&story.about(&["ping", "pong", "kill", "ended"]));
}

#[test]
fn after_a_crash_of_pid_1_nothing_runs_that_its_record_does_not_know() {
    let mut story = Story::ready();
    story
        .at(20.0, ends("kubelet", 1, End::Exit(1)))
        .at(20.5, Event::Recovered { cause: "SIGSEGV".into() });
    expect![[r#"
        20.000s < kill all in system/kubelet
        20.500s > recovered from SIGSEGV
        20.500s < say PID 1 recovered from SIGSEGV, its services live on
        20.500s < kill all in system/kubelet
        20.500s < kill all in system/stop-pods
        20.500s < kill all in system/storage
        20.500s < kill all in system/unmount
        20.500s < say fault: PID 1: recovered from SIGSEGV
        20.500s ~ status=meshed 1 neighbour; kubelet failed (exit status 1), tries again at 21.000s (since 20.000s); fault since 20.000s: service kubelet: failed: exit status 1; fault since 20.500s: PID 1: recovered from SIGSEGV
    "#]].assert_eq(&story.about(&["recovered", "kill"]));
}

#[test]
fn output_that_was_given_up_is_told_once_a_log_worker_can_hear_it() {
    let mut story = Story::ready();
    let lost = |service, bytes| Event::OutputLost { service: super::story::name(service), bytes };
    story
        .at(20.0, ends("log", 1, End::Signal(9)))
        .at(20.5, lost("net", 32_768))
        .at(20.6, Event::Recovered { cause: "SIGSEGV".into() })
        .at(20.7, lost("net", 32_768))
        .at(20.8, lost("kubelet", 100))
        .at(20.9, lost("nobody", 100))
        .at(21.0, Event::Clock)
        .at(21.5, says_ready("log", 2))
        .at(22.0, ends("log", 2, End::Signal(9)))
        .at(27.0, Event::Clock)
        .at(27.5, says_ready("log", 3));
    expect![[r#"
        20.500s > 32768 bytes of net are lost
        20.700s > 32768 bytes of net are lost
        20.800s > 100 bytes of kubelet are lost
        20.900s > 100 bytes of nobody are lost
        21.500s < say service kubelet: 100 bytes of its output are lost: no log worker read them
        21.500s < say service net: 65536 bytes of its output are lost: no log worker read them
    "#]]
    .assert_eq(&story.about(&["are lost"]));
}

#[test]
fn a_crash_of_pid_1_is_a_fault_for_an_hour_after_the_last_one() {
    let mut story = Story::ready();
    story
        .at(20.0, Event::Recovered { cause: "SIGSEGV".into() })
        .at(3600.0, Event::Recovered { cause: "panic".into() })
        .at(3620.0, Event::Clock)
        .at(7199.9, Event::Clock);
    assert_eq!(story.node.next_wake(), Some(Time::from_millis(7_200_000)));
    story.at(7200.0, Event::Clock);
    assert_eq!(story.node.next_wake(), None);
    expect![[r#"
        20.000s ~ status=degraded 1 neighbour; 1 of 1 pods run (since 10.000s); fault since 20.000s: PID 1: recovered from SIGSEGV
        3600.000s ~ status=degraded 1 neighbour; 1 of 1 pods run (since 10.000s); fault since 20.000s: PID 1: recovered from panic
        7200.000s ~ status=ready 1 neighbour; 1 of 1 pods run (since 10.000s)
    "#]].assert_eq(&story.about(&["~"]));
}

#[test]
fn an_init_that_took_over_is_told_by_its_version_and_one_that_did_not_is_a_fault() {
    let mut story = Story::ready();
    let upgraded = |version: &str, refusal: Option<&str>| Event::Upgraded {
        version: version.into(),
        refusal: refusal.map(Into::into),
    };
    story
        .at(20.0, upgraded("9.9.1", None))
        .at(30.0, upgraded("9.9.2", None))
        .at(31.0, upgraded("9.9.1", Some("SIGSEGV")));
    expect![[r#"
        20.000s > init 9.9.1 took over
        20.000s < say PID 1 is init 9.9.1 now, its services live on
        30.000s > init 9.9.2 took over
        30.000s < say PID 1 is init 9.9.2 now, its services live on
        31.000s > init 9.9.1 goes on: SIGSEGV
        31.000s < say PID 1 is still init 9.9.1, no other took over: SIGSEGV
        31.000s < say fault: PID 1: no other init took over: SIGSEGV
        31.000s ~ status=degraded 1 neighbour; 1 of 1 pods run (since 10.000s); fault since 31.000s: PID 1: no other init took over: SIGSEGV
    "#]].assert_eq(&story.about(&["init"]));
    assert_eq!((story.node.version.as_str(), story.node.recoveries), ("9.9.1", 0));
}

#[test]
fn a_panic_of_the_kernel_is_a_fault_for_an_hour_of_its_next_life() {
    let mut story = Story::ready();
    let crash = Some("its last life ended by a panic: /state/crash/1".into());
    let report = StorageReport { crash, ..stick(OWN_MESH) };
    story
        .at(20.0, reports("storage", Report::Storage(report)))
        .at(30.0, reports("storage", Report::Storage(stick(OWN_MESH))))
        .at(3620.0, Event::Clock);
    expect![[r#"
        20.000s ~ status=degraded 1 neighbour; 1 of 1 pods run (since 10.000s); fault since 20.000s: kernel: its last life ended by a panic: /state/crash/1
        3620.000s ~ status=ready 1 neighbour; 1 of 1 pods run (since 10.000s)
    "#]].assert_eq(&story.about(&["~"]));
}
