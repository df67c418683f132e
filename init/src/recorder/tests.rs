// SPDX-License-Identifier: Apache-2.0
//! What a record says after each kind of damage.

use super::*;
use kubermesh_node::service::Catalog;

/// The first use of a slot, at 128 MiB; the second is at 64 MiB.
const FIRST: u64 = 128 << 20;
const SECOND: u64 = 64 << 20;

fn node(version: &str) -> Node {
    Node::new(Catalog::default(), &[], version)
}

/// The tests share one process, and with it the record's number.
pub(crate) fn recorder() -> Recorder {
    let memory = memory::create(c"test", unique()).unwrap();
    let mut made = Recorder { memory, sequence: 0, whole: 0, end: 0, answered: 0, begun: 0 };
    made.write_whole(&node("first"), &VecDeque::new(), 0, 0).unwrap();
    made
}

fn unique() -> i32 {
    static NEXT: std::sync::atomic::AtomicI32 = std::sync::atomic::AtomicI32::new(700);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

fn note(recorder: &mut Recorder, milliseconds: u64, event: &Event) {
    recorder.note(Time::from_millis(milliseconds), event).unwrap();
}

fn damage(recorder: &Recorder, at: u64) {
    memory::write_at(&recorder.memory, b"torn", at).unwrap();
}

#[test]
fn events_are_found_again_with_how_far_they_were_answered() {
    let mut recorder = recorder();
    note(&mut recorder, 1, &Event::Begun);
    note(&mut recorder, 2, &Event::Clock);
    recorder.begin(0);
    recorder.begin(1);
    recorder.end();
    recorder.begin(4);
    let left = recorder.read().unwrap();
    assert_eq!(left.node, node("first"));
    let moments = |milliseconds, event| (Time::from_millis(milliseconds), event);
    assert_eq!(left.events, [moments(1, Event::Begun), moments(2, Event::Clock)]);
    assert_eq!((left.answered, left.begun, left.tries), (1, 5, 0));
}

#[test]
fn an_effect_that_crashes_life_after_life_is_known_by_the_number_of_its_tries() {
    let mut recorder = recorder();
    let waiting = VecDeque::from([(Time::from_millis(1), Event::Begun)]);
    recorder.write_whole(&node("first"), &waiting, 3, 1).unwrap();
    recorder.begin(2);
    let left = recorder.read().unwrap();
    assert_eq!((left.answered, left.begun, left.tries), (0, 3, 1));
    recorder.begin(3);
    let left = recorder.read().unwrap();
    assert_eq!((left.answered, left.begun, left.tries), (0, 4, 0));
}

#[test]
fn a_damaged_slot_leaves_the_one_before_it_with_its_events() {
    let mut recorder = recorder();
    note(&mut recorder, 1, &Event::Begun);
    recorder.write_whole(&node("second"), &VecDeque::new(), 0, 0).unwrap();
    note(&mut recorder, 2, &Event::Clock);
    assert_eq!(recorder.read().unwrap().node, node("second"));
    damage(&recorder, SECOND + 70);
    let left = recorder.read().unwrap();
    assert_eq!(left.node, node("first"));
    assert_eq!(left.events, [(Time::from_millis(1), Event::Begun)]);
}

#[test]
fn both_slots_damaged_is_said_to_be_so() {
    let recorder_ = &mut recorder();
    recorder_.write_whole(&node("second"), &VecDeque::new(), 0, 0).unwrap();
    damage(recorder_, FIRST + 70);
    damage(recorder_, SECOND + 70);
    assert!(matches!(recorder_.read(), Err(RecordError::Damaged)));
}

#[test]
fn a_damaged_event_ends_the_record_before_it() {
    let mut recorder = recorder();
    note(&mut recorder, 1, &Event::Begun);
    let second_at = recorder.end;
    note(&mut recorder, 2, &Event::Clock);
    note(&mut recorder, 3, &Event::WatchdogTick);
    damage(&recorder, FIRST + second_at + 18);
    assert_eq!(recorder.read().unwrap().events, [(Time::from_millis(1), Event::Begun)]);
}

#[test]
fn events_of_an_earlier_use_of_the_slot_are_not_taken_for_news() {
    let mut recorder = recorder();
    for milliseconds in 0..9 {
        note(&mut recorder, milliseconds, &Event::Clock);
    }
    for version in ["second", "third"] {
        recorder.write_whole(&node(version), &VecDeque::new(), 0, 0).unwrap();
    }
    note(&mut recorder, 20, &Event::Begun);
    let left = recorder.read().unwrap();
    assert_eq!(left.node, node("third"));
    assert_eq!(left.events, [(Time::from_millis(20), Event::Begun)]);
}

#[test]
fn a_record_of_another_form_is_not_misread() {
    let mut recorder = recorder();
    recorder.put(FIRST, &[1]);
    assert!(matches!(recorder.read(), Err(RecordError::Form(1))));
}

#[test]
fn crashes_are_counted_within_a_minute() {
    let mut recorder = recorder();
    let seconds = [0, 20, 40, 59, 61, 81, 101, 200, 201, 202, 203];
    let too_often = seconds.map(|second| recorder.count_crash(Time::from_millis(second * 1000), 3));
    // The fourth within a minute is one too many.
    let fourth = [false, false, false, true, true, true, true, false, false, false, true];
    assert_eq!(too_often, fourth);
}
