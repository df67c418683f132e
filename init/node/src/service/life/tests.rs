// SPDX-License-Identifier: Apache-2.0
//! One life told as stories, and what holds for any order of events; moments written by hand.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::wildcard_enum_match_arm,
    reason = "a test may stop where it stands"
)]

use expect_test::expect;
use proptest::prelude::*;

use super::*;

fn spec(text: &str) -> ServiceSpec {
    let text = format!("command = [\"/x\"]\n{text}");
    ServiceSpec::parse("x.toml", &text).unwrap().1
}

fn tell(spec: &ServiceSpec, events: &[(u64, Event)]) -> String {
    let mut life = Life::default();
    let line = |&(second, event): &(u64, Event)| {
        let effects = life.step(event, Time::from_millis(second * 1000), spec);
        format!("{second}s {event:?} ► {effects:?}\n")
    };
    events.iter().map(line).collect()
}

fn ended(instance: u64) -> Event {
    Event::Ended { instance, success: false }
}

#[test]
fn a_service_that_keeps_failing_rests_longer_each_time() {
    let spec = spec("[restart]\nrests = [\"1s\", \"5s\"]");
    let story = tell(
        &spec,
        &[
            (0, Event::Start),
            (2, ended(1)),
            (3, Event::Clock),
            (4, ended(2)),
            (9, Event::Clock),
            (9, ended(3)),
        ],
    );
    expect![[r#"
        0s Start ► [Spawn(1), WakeAt(Time(60000))]
        2s Ended { instance: 1, success: false } ► [KillGroup, WakeAt(Time(3000))]
        3s Clock ► [Spawn(2), WakeAt(Time(63000))]
        4s Ended { instance: 2, success: false } ► [KillGroup, WakeAt(Time(9000))]
        9s Clock ► [Spawn(3), WakeAt(Time(69000))]
        9s Ended { instance: 3, success: false } ► [KillGroup, WakeAt(Time(14000))]
    "#]]
    .assert_eq(&story);
}

#[test]
fn a_restart_of_containerd_never_kills_its_pods_and_the_final_stop_does() {
    let spec = spec("[stop]\nkill = \"main\"\nwithin = \"2s\"");
    let story = tell(
        &spec,
        &[
            (0, Event::Start),
            (1, Event::Ready(1)),
            (2, Event::Unhealthy(1)),
            (2, ended(1)),
            (3, Event::Clock),
            (4, Event::Restart),
            (6, Event::Clock),
            (6, ended(2)),
            (7, Event::Stop),
            (9, Event::Clock),
        ],
    );
    expect![[r#"
        0s Start ► [Spawn(1), WakeAt(Time(60000))]
        1s Ready(1) ► []
        2s Unhealthy(1) ► [KillMain, WakeAt(Time(7000))]
        2s Ended { instance: 1, success: false } ► [WakeAt(Time(2000))]
        3s Clock ► [Spawn(2), WakeAt(Time(63000))]
        4s Restart ► [Terminate, WakeAt(Time(6000))]
        6s Clock ► [KillMain, WakeAt(Time(11000))]
        6s Ended { instance: 2, success: false } ► [Spawn(3), WakeAt(Time(66000))]
        7s Stop ► [Terminate, WakeAt(Time(9000))]
        9s Clock ► [KillGroup, WakeAt(Time(14000))]
    "#]]
    .assert_eq(&story);
}

#[test]
fn the_final_stop_takes_the_pods_of_a_containerd_that_is_resting() {
    let spec = spec("[stop]\nkill = \"main\"");
    let story = tell(&spec, &[(0, Event::Start), (1, ended(1)), (1, Event::Stop)]);
    expect![[r#"
        0s Start ► [Spawn(1), WakeAt(Time(60000))]
        1s Ended { instance: 1, success: false } ► [WakeAt(Time(1000))]
        1s Stop ► [KillGroup]
    "#]]
    .assert_eq(&story);
}

#[test]
fn what_a_task_that_is_done_has_left_behind_does_not_outlive_it() {
    let spec = spec("kind = \"task\"");
    let done = Event::Ended { instance: 1, success: true };
    let story = tell(&spec, &[(0, Event::Start), (1, done), (2, Event::Restart)]);
    expect![[r#"
        0s Start ► [Spawn(1), WakeAt(Time(60000))]
        1s Ended { instance: 1, success: true } ► [KillGroup]
        2s Restart ► [Spawn(2), WakeAt(Time(62000))]
    "#]]
    .assert_eq(&story);
}

#[test]
fn what_outlived_its_kill_is_killed_again_each_half_minute() {
    let spec = spec("");
    let killed = [
        (0, Event::Start),
        (1, Event::Unhealthy(1)),
        (6, Event::Clock),
        (35, Event::Clock),
        (36, Event::Clock),
        (66, Event::Clock),
        (67, ended(1)),
    ];
    expect![[r#"
        0s Start ► [Spawn(1), WakeAt(Time(60000))]
        1s Unhealthy(1) ► [KillGroup, WakeAt(Time(6000))]
        6s Clock ► []
        35s Clock ► []
        36s Clock ► [KillGroup]
        66s Clock ► [KillGroup]
        67s Ended { instance: 1, success: false } ► [KillGroup, WakeAt(Time(67000))]
    "#]]
    .assert_eq(&tell(&spec, &killed));
}

#[test]
fn a_late_exit_of_one_run_never_hits_the_next() {
    let spec = spec("");
    let mut life =
        Life { state: State::Running { since: Time::default() }, instance: 4, failures: 0 };
    assert_eq!(life.step(ended(3), Time::from_millis(9), &spec), []);
    assert!(life.is_up());
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::Start),
        Just(Event::Stop),
        Just(Event::Restart),
        (0..4_u64).prop_map(Event::Ready),
        (0..4_u64).prop_map(ended),
        (0..4_u64).prop_map(Event::Unhealthy),
        Just(Event::Clock),
    ]
}

proptest! {
    /// No two runs at once, whatever comes in whatever order; and a stop ends.
    #[test]
    fn a_run_begins_only_after_the_one_before_has_ended(events in proptest::collection::vec((any_event(), 0..9000_u64), 0..60)) {
        let spec = spec("");
        let (mut life, mut now, mut alive) = (Life::default(), 0, None);
        for (event, wait) in events {
            now += wait;
            let event = match event {
                Event::Ended { success, .. } => match alive.take() {
                    Some(instance) => Event::Ended { instance, success },
                    None => continue,
                },
                other => other,
            };
            for effect in life.step(event, Time::from_millis(now), &spec) {
                if let Effect::Spawn(instance) = effect {
                    prop_assert!(alive.is_none(), "run {instance} while {alive:?} lives");
                    alive = Some(instance);
                }
            }
            prop_assert_eq!(alive.is_none(), life.is_down());
        }
        life.step(Event::Stop, Time::from_millis(now), &spec);
        life.step(Event::Clock, Time::from_millis(now + 300_000), &spec);
        if let Some(instance) = alive {
            life.step(ended(instance), Time::from_millis(now + 300_001), &spec);
        }
        prop_assert!(matches!(life.state, State::Stopped | State::Done), "{:?}", life.state);
    }
}
