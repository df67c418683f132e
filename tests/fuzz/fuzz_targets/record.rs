// SPDX-License-Identifier: Apache-2.0
//! The record that PID 1's next life goes on from: whatever is in it, a life reads what a rehearsal of another
//! program reads, or both refuse it; and what was written down is read back.
#![no_main]

use std::os::fd::IntoRawFd;

use kubermesh_fuzz::grown;
use kubermesh_node::event::Event;
use kubermesh_node::time::Time;
use kubermesh_sys::{inherited, memory};
use libfuzzer_sys::fuzz_target;
use siphasher::sip::SipHasher24;
use std::hash::Hasher;

use recorder::{Left, Recorder};

/// In the place of init's own, which knows of services and their pipes as well.
mod kept {
    pub(crate) const RECORD: i32 = 243;
}
#[path = "../../../init/src/again.rs"]
mod again;
#[allow(dead_code, reason = "no node lives here")]
#[path = "../../../init/src/recorder.rs"]
mod recorder;
#[path = "../../../init/src/written.rs"]
mod written;

fuzz_target!(|bytes: &[u8]| {
    // 0x1c stands between the slots and what is before them, 0x1d between the parts of one.
    let bytes = grown(bytes);
    let mut parts = bytes.split(|byte| *byte == 0x1c);
    let [first, second, crashes] = [(); 3].map(|()| parts.next().unwrap_or_default());
    let file = memory::create(c"fuzz", kept::RECORD).unwrap();
    for (at, bytes) in
        [(SLOT, slot(first)), (2 * SLOT, slot(second)), (0, crashes.into()), (4096, crashes.into())]
    {
        memory::write_at(&file, &bytes, at).unwrap();
    }
    // From here on the number is the recorder's.
    let _ = file.into_raw_fd();
    let mut recorder = Recorder::take_back().unwrap();
    let too_often = [1, 2, 3, 4].map(|moment| recorder.count_crash(Time::from_millis(moment), 3));
    // No machine has crashed so often that the number begins again.
    let is_possible = crashes.get(7) != Some(&0xff);
    assert!(too_often[3] || !is_possible, "the fourth crash within a moment is borne");
    bytes.split(|byte| matches!(byte, 0x1c | 0x1d)).for_each(decode_event);

    let Ok(left) = recorder.read() else { return };
    let copy = recorder.copy().unwrap();
    let _ = inherited::place(&copy, kept::RECORD).unwrap().into_raw_fd();
    assert_same(&recorder.read().expect("a rehearsal reads it"), &left);
    go_on(&mut recorder, left);
});

/// What a life does with it, and its next one finds.
fn go_on(recorder: &mut Recorder, left: Left) {
    let mut events = left.events;
    let waiting = events.split_off(left.answered);
    let mut node = left.node;
    events.into_iter().for_each(|(when, event)| drop(node.step(event, when)));
    let mut next = Left { node, events: waiting, answered: 0, ..left };
    recorder
        .write_whole(&next.node, &next.events.clone().into(), next.begun as u64, next.tries)
        .unwrap();
    assert_same(&recorder.read().expect("what was written"), &next);
    recorder.note(Time::from_millis(9), &Event::Clock).unwrap();
    next.events.push((Time::from_millis(9), Event::Clock));
    assert_same(&recorder.read().expect("what was noted"), &next);
    // A rehearsal thinks of what waits, too.
    for (when, event) in next.events {
        drop(next.node.step(event, when));
    }
}

fn assert_same(one: &Left, other: &Left) {
    assert_eq!((&one.node, &one.events), (&other.node, &other.events));
    assert_eq!((one.answered, one.begun, one.tries), (other.answered, other.begun, other.tries));
}

fn decode_event(bytes: &[u8]) {
    let Some((when, event)) = written::read(bytes) else { return };
    let again = written::write(when, &event).unwrap();
    assert_eq!(written::read(&again), Some((when, event)));
}

const SLOT: u64 = 1 << 26;

/// One that begins with `s` gets lengths and the right checksums, which no fuzzer guesses.
fn slot(bytes: &[u8]) -> Vec<u8> {
    let Some((numbers, rest)) = bytes.strip_prefix(b"s").and_then(<[u8]>::split_first_chunk::<4>)
    else {
        return bytes.to_vec();
    };
    let [sequence, answered, begun, tries] = numbers.map(u64::from);
    let mut parts = rest.split(|byte| *byte == 0x1d);
    let node = parts.next().unwrap_or_default();
    let head = [2, sequence, node.len() as u64, sum(sequence, 0, node), answered, begun, tries];
    let mut slot = [words(&head), node.to_vec()].concat();
    for event in parts {
        let head = [event.len() as u64, sum(sequence, slot.len() as u64, event)];
        slot.extend([words(&head), event.to_vec()].concat());
    }
    slot
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn sum(sequence: u64, at: u64, bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher24::new();
    hasher.write_u64(sequence);
    hasher.write_u64(at);
    hasher.write(bytes);
    hasher.finish()
}
