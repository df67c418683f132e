// SPDX-License-Identifier: Apache-2.0
//! Keys with the moments at which they come, in milliseconds.
#![expect(clippy::arithmetic_side_effects, reason = "a sum of a test that overflows fails it")]

use super::*;

struct Typist {
    dialogue: Dialogue,
    start: Instant,
}

impl Typist {
    fn new() -> Self {
        let start = Instant::now();
        Self { dialogue: Dialogue::new(start), start }
    }

    fn press(&mut self, at: u64, key: u8) -> Option<Step> {
        self.dialogue.key(key, self.start + Duration::from_millis(at))
    }
}

fn said(step: Option<Step>) -> String {
    match step {
        Some(Step::Say(lines)) => lines.join("\n"),
        other => panic!("nothing was said: {other:?}"),
    }
}

#[test]
fn single_keys_ask_for_what_the_help_says() {
    let mut typist = Typist::new();
    for (at, key, wish) in [
        (0, b's', Wish::Overview),
        (500, b'v', Wish::Services),
        (1000, b'l', Wish::Troubles),
        (1500, b'k', Wish::Links),
        (2000, b'i', Wish::Identify),
        (2500, b'r', Wish::Choice),
        (3000, b'\r', Wish::Overview),
    ] {
        assert_eq!(typist.press(at, key), Some(Step::Ask(wish)));
    }
    assert!(said(typist.press(3500, b'h')).contains("B  reboot"));
    assert_eq!(said(typist.press(4000, b'x')), "Press s for status, h for help.");
    assert_eq!(typist.press(4500, 0x13), None);
}

#[test]
fn a_reboot_is_asked_for_twice_and_only_y_is_yes() {
    let mut typist = Typist::new();
    assert_eq!(said(typist.press(0, b'B')), "Reboot this node? y: yes, any other key: no.");
    assert_eq!(typist.press(300, b'y'), Some(Step::Ask(Wish::Reboot)));
    typist.press(1000, b'P');
    assert_eq!(typist.press(1300, b'y'), Some(Step::Ask(Wish::PowerOff)));
    typist.press(2000, b'B');
    assert_eq!(said(typist.press(2300, b'n')), "Nothing is done.");
    assert_eq!(said(typist.press(2600, b'y')), "Press s for status, h for help.");
}

#[test]
fn a_question_ends_by_itself_after_ten_seconds() {
    let mut typist = Typist::new();
    typist.press(0, b'B');
    let at = |milliseconds| typist.start + Duration::from_millis(milliseconds);
    assert_eq!(typist.dialogue.wake_at(), Some(at(10_000)));
    assert_eq!(typist.dialogue.expire(at(9_999)), None);
    let end = at(10_000);
    assert!(typist.dialogue.expire(end).is_some());
    assert_eq!(said(typist.press(10_100, b'y')), "Press s for status, h for help.");
}

#[test]
fn a_service_is_chosen_by_its_number() {
    let mut typist = Typist::new();
    let services: Vec<ServiceName> =
        (0..12).map(|number| format!("s{number}").parse().unwrap()).collect();
    let now = typist.start;
    let lines = typist.dialogue.choose(services.clone(), now);
    assert_eq!((lines.len(), lines[12].as_str()), (13, "  12 s11"));
    assert_eq!(typist.press(300, b'1'), None);
    assert_eq!(typist.press(600, b'2'), None);
    assert_eq!(typist.press(900, b'\r'), Some(Step::Ask(Wish::Restart(services[11].clone()))));
    typist.dialogue.choose(services.clone(), now);
    assert_eq!(typist.press(1200, b'9'), None);
    assert_eq!(said(typist.press(1500, b'9')), "Nothing is done.");
    typist.dialogue.choose(services, now);
    assert_eq!(said(typist.press(1800, b'\r')), "Nothing is done.");
}

#[test]
fn a_log_on_the_line_reboots_nobody() {
    // Another machine's console at the other end of the cable, a byte each 0.1 ms.
    let log = b"By your leave: By default B\r\ny BIOS-provided physical RAM map:\r\nBy By By";
    let mut typist = Typist::new();
    for (number, byte) in log.iter().cycle().take(10_000).enumerate() {
        let at = Duration::from_micros(number as u64 * 87);
        let step = typist.dialogue.key(*byte, typist.start + at);
        assert!(
            !matches!(step, Some(Step::Ask(Wish::Reboot | Wish::PowerOff))),
            "byte {number} rebooted the node"
        );
    }
    // After a pause it is a person again.
    assert_eq!(typist.press(3000, b's'), Some(Step::Ask(Wish::Overview)));
}

#[test]
fn cursor_and_function_keys_mean_nothing() {
    let mut typist = Typist::new();
    for (at, key) in (0..).zip(*b"\x1b[B\x1bOP\x1b[15~") {
        assert_eq!(typist.press(at * 200, key), None);
    }
    assert_eq!(typist.press(5000, b's'), Some(Step::Ask(Wish::Overview)));
}
