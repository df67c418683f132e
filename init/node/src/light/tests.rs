// SPDX-License-Identifier: Apache-2.0
//! Colours and rhythms by hand, and what must hold for all of them.

use super::*;
use crate::status::Fault;
use crate::time::Time;

fn status(phase: Phase, faults: usize) -> Status {
    let fault =
        Fault { subject: "port eth0".into(), sentence: "slow".into(), since: Time::default() };
    Status { phase, faults: vec![fault; faults], ..Status::at_start() }
}

/// `led r g b ms` for each line of the loop.
fn told(look: Look) -> Vec<String> {
    look.pattern().cycle.iter().map(line).collect()
}

fn line(line: &Line) -> String {
    let led = match line.led {
        Led::Both => "both",
        Led::First => "first",
        Led::Second => "second",
    };
    let Colour { red, green, blue } = line.colour;
    format!("{led} {red} {green} {blue} {}", line.lasts.as_millis())
}

#[test]
fn each_phase_has_its_meaning_and_only_a_ready_node_is_degraded() {
    let of = |phase, faults| Meaning::of(&status(phase, faults)).name();
    assert_eq!(of(Phase::Booting, 0), "booting");
    assert_eq!(of(Phase::Isolated, 0), "no neighbour");
    assert_eq!(of(Phase::Meshed, 1), "meshed");
    assert_eq!(of(Phase::Ready, 0), "ready");
    assert_eq!(of(Phase::Ready, 2), "degraded");
    assert_eq!(of(Phase::Failed, 1), "failed");
    assert_eq!(of(Phase::Stopping, 1), "stopping");
    assert_eq!(of(Phase::Stopped, 1), "safe to unplug");
}

#[test]
fn the_words_are_what_a_person_sees() {
    let words: Vec<String> = Meaning::ALL.iter().map(|meaning| meaning.words()).collect();
    assert_eq!(
        words,
        [
            "blue, breathing, once every 2 s",
            "amber, one short blink every 2 s",
            "cyan, two short blinks every 2 s",
            "green, steady",
            "yellow, steady but for a short gap every 2 s",
            "red, even blinking, once a second",
            "magenta, three short blinks every 2 s",
            "white, 2 s on, 2 s off",
            "white, fast blinking, four times a second",
            "red, one long and one short blink every 2 s",
        ]
    );
    let faulty = Look::of(&status(Phase::Isolated, 1));
    assert_eq!(
        faulty.words(),
        "amber, one short blink every 2 s; second LED yellow, steady but for a short gap every 2 s"
    );
}

#[test]
fn a_whole_light_plays_these_lines() {
    let whole = |meaning| told(Look::whole(meaning));
    assert_eq!(
        whole(Meaning::Booting),
        ["both 0 0 255 800", "both 0 0 255 100", "both 0 0 0 800", "both 0 0 0 300"]
    );
    assert_eq!(
        whole(Meaning::NoNeighbour),
        ["both 255 100 0 10", "both 255 100 0 140", "both 0 0 0 10", "both 0 0 0 1840"]
    );
    assert_eq!(whole(Meaning::Ready), ["both 0 255 0 10", "both 0 255 0 1990"]);
    assert_eq!(
        whole(Meaning::Dead),
        [
            "both 255 0 0 10",
            "both 255 0 0 690",
            "both 0 0 0 10",
            "both 0 0 0 140",
            "both 255 0 0 10",
            "both 255 0 0 140",
            "both 0 0 0 10",
            "both 0 0 0 990",
        ]
    );
}

#[test]
fn a_fault_is_on_the_second_led_beside_the_phase() {
    let look = Look::of(&status(Phase::Ready, 1));
    assert_eq!(
        told(look),
        [
            "first 0 255 0 10",
            "first 0 255 0 1700",
            "second 0 0 0 10",
            "first 0 255 0 250",
            "second 255 255 0 10",
            "first 0 255 0 20",
        ]
    );
    let opening: Vec<String> = look.pattern().opening.iter().map(line).collect();
    assert_eq!(opening, ["first 0 255 0 10", "second 255 255 0 10"]);
}

#[test]
fn a_light_with_one_led_shows_the_phase_and_faults_of_a_ready_node() {
    let one = |phase, faults| Look::of(&status(phase, faults)).on_one_led();
    assert_eq!(one(Phase::Ready, 1), Look::whole(Meaning::Degraded));
    assert_eq!(one(Phase::Ready, 0), Look::whole(Meaning::Ready));
    assert_eq!(one(Phase::Booting, 1), Look::whole(Meaning::Booting));
}

#[test]
fn safe_to_unplug_is_said_by_the_whole_light_whatever_was_wrong() {
    assert_eq!(Look::of(&status(Phase::Stopped, 3)), Look::whole(Meaning::SafeToUnplug));
}

/// What a person without colours sees of it: lit or not, every 10 ms for four seconds.
fn seen_without_colours(meaning: Meaning) -> Vec<bool> {
    let track = meaning.track(Led::Both);
    (5..4000).step_by(10).map(|moment| track.level(moment) >= 500).collect()
}

#[test]
fn every_two_meanings_differ_in_rhythm_wherever_one_begins_to_look() {
    for one in Meaning::ALL {
        for other in Meaning::ALL.into_iter().filter(|other| *other != one) {
            let (first, mut second) = (seen_without_colours(one), seen_without_colours(other));
            let least = (0..400)
                .map(|_| {
                    second.rotate_left(1);
                    first.iter().zip(&second).filter(|(a, b)| a != b).count()
                })
                .min();
            // A twentieth of the time, 100 ms of 2 s: the eye sees that in a rhythm that repeats.
            assert!(least >= Some(20), "{} and {}: {least:?}", one.name(), other.name());
        }
    }
}

#[test]
fn each_look_fits_the_device_and_moves_one_led_at_a_time() {
    let phases = [Phase::Booting, Phase::Isolated, Phase::Meshed, Phase::Ready, Phase::Failed];
    let looks = phases.into_iter().chain([Phase::Stopping]).map(|phase| status(phase, 1));
    let whole = Meaning::ALL.into_iter().map(Look::whole);
    for look in looks.map(|status| Look::of(&status)).chain(whole) {
        let cycle = look.pattern().cycle;
        let length: u64 = cycle.iter().map(|line| line.lasts.as_millis()).sum();
        // Two LEDs that move at once would stretch the loop beyond its rhythm.
        assert!([250, 1000, 2000, 4000].contains(&length), "{look:?} lasts {length} ms");
        assert!((2..=16).contains(&cycle.len()), "{look:?} has {} lines", cycle.len());
        for line in cycle {
            let tick = line.lasts.as_millis();
            assert!(tick >= 10 && tick % 10 == 0 && tick <= 655_350, "{look:?}: {line:?}");
        }
    }
}
