// SPDX-License-Identifier: Apache-2.0
//! What a light is told, in which order; colours and numbers by hand.

use kubermesh_node::light::{Colour, Led};

use super::*;

const fn at(milliseconds: u64) -> Time {
    Time::from_millis(milliseconds)
}

/// All that the lamp wants to say now, in short.
fn said(lamp: &mut Lamp, now: Time) -> Vec<String> {
    std::iter::from_fn(|| lamp.next(now)).map(short).collect()
}

fn short(command: Command) -> String {
    let led = |led| match led {
        Led::Both => 0,
        Led::First => 1,
        Led::Second => 2,
    };
    let hex = |Colour { red, green, blue }| format!("{red:02x}{green:02x}{blue:02x}");
    match command {
        Command::Fade(line) => format!("fade {} led {}", hex(line.colour), led(line.led)),
        Command::NextLed(number) => format!("led {}", led(number)),
        Command::Write { place, line } => {
            format!("line {place} {} {}", hex(line.colour), line.lasts.as_millis())
        }
        Command::Play { first, last } => format!("play {first}-{last}"),
        Command::Halt => "halt".into(),
        Command::Alive { within, first, last } => format!("alive {within} {first}-{last}"),
        Command::Mute => "mute".into(),
    }
}

const GREEN: [&str; 7] = [
    "halt",
    "led 0",
    "line 0 00ff00 10",
    "led 0",
    "line 1 00ff00 1990",
    "fade 00ff00 led 0",
    "play 0-1",
];

#[test]
fn a_new_light_first_says_alive_then_learns_how_to_look_dead_then_what_to_show() {
    let mut lamp = Lamp::new(Model::TwoLeds, Look::whole(Meaning::Ready), at(1000));

    let said = said(&mut lamp, at(1000));

    assert_eq!(said[..4], ["alive 15s 16-23", "halt", "led 0", "line 16 ff0000 10"]);
    assert_eq!(said[16..18], ["led 0", "line 23 000000 990"]);
    assert_eq!(said[18..], GREEN);
}

#[test]
fn an_idle_light_is_told_every_five_seconds_that_we_live_and_nothing_else() {
    let mut lamp = Lamp::new(Model::TwoLeds, Look::whole(Meaning::Ready), at(0));
    said(&mut lamp, at(0));

    assert_eq!(lamp.due(), Some(at(5000)));
    assert!(said(&mut lamp, at(4999)).is_empty());
    assert_eq!(said(&mut lamp, at(5001)), ["alive 15s 16-23"]);
    assert_eq!(lamp.due(), Some(at(10_001)));
}

#[test]
fn a_light_that_looked_dead_for_a_while_is_told_its_look_again() {
    let mut lamp = Lamp::new(Model::TwoLeds, Look::whole(Meaning::Ready), at(0));
    said(&mut lamp, at(0));

    assert_eq!(said(&mut lamp, at(13_000)), ["alive 15s 16-23"]);
    let late = said(&mut lamp, at(26_001));

    assert_eq!(late[0], "alive 15s 16-23");
    assert_eq!(late[1..], GREEN);
}

#[test]
fn a_change_while_lines_are_written_starts_anew_and_keeps_the_lines_of_death() {
    let mut lamp = Lamp::new(Model::TwoLeds, Look::whole(Meaning::Booting), at(0));
    let before: Vec<Command> = (0..6).map_while(|_| lamp.next(at(0))).collect();
    assert_eq!(before.len(), 6);

    lamp.show(Look::whole(Meaning::Ready), at(1));

    let said = said(&mut lamp, at(1));
    assert_eq!(said[0], "led 0");
    assert_eq!(said[1], "line 18 000000 10");
    assert_eq!(said[said.len() - 7..], GREEN);
    assert!(lamp.is_settled());
}

#[test]
fn a_fault_goes_to_the_second_led() {
    let mut lamp = Lamp::new(Model::TwoLeds, Look::whole(Meaning::Ready), at(0));
    said(&mut lamp, at(0));

    lamp.show(Look { first: Meaning::Ready, second: Some(Meaning::Degraded) }, at(1));

    assert_eq!(
        said(&mut lamp, at(1)),
        [
            "halt",
            "led 1",
            "line 0 00ff00 10",
            "led 1",
            "line 1 00ff00 1700",
            "led 2",
            "line 2 000000 10",
            "led 1",
            "line 3 00ff00 250",
            "led 2",
            "line 4 ffff00 10",
            "led 1",
            "line 5 00ff00 20",
            "fade 00ff00 led 1",
            "fade ffff00 led 2",
            "play 0-5",
        ]
    );
}

#[test]
fn before_it_says_safe_to_unplug_the_light_is_told_never_to_look_dead() {
    let mut lamp = Lamp::new(Model::TwoLeds, Look::whole(Meaning::Stopping), at(0));
    said(&mut lamp, at(0));

    lamp.show(Look::whole(Meaning::SafeToUnplug), at(6000));

    let said = said(&mut lamp, at(6000));
    assert_eq!(said[..4], ["mute", "halt", "led 0", "line 0 ffffff 10"]);
    assert_eq!(said[said.len() - 1], "play 0-3");
    assert_eq!(lamp.due(), None);
    lamp.show(Look::whole(Meaning::Booting), at(9000));
    assert_eq!(lamp.next(at(9000)).map(short).as_deref(), Some("alive 15s 16-23"));
}

#[test]
fn a_light_with_one_led_is_played_from_here_and_its_memory_is_never_written() {
    let mut lamp = Lamp::new(Model::Mk1, Look::whole(Meaning::NoNeighbour), at(0));
    assert_eq!(said(&mut lamp, at(0)), ["alive 15s 16-23", "fade ff6400 led 0"]);
    assert_eq!(lamp.due(), Some(at(10)));
    assert_eq!(said(&mut lamp, at(10)), ["fade ff6400 led 0"]);
    assert_eq!(said(&mut lamp, at(152)), ["fade 000000 led 0"]);
    assert_eq!(lamp.due(), Some(at(160)));
    assert_eq!(said(&mut lamp, at(160)), ["fade 000000 led 0"]);
    assert_eq!(lamp.due(), Some(at(2000)));

    lamp.show(Look::whole(Meaning::SafeToUnplug), at(1000));
    assert_eq!(said(&mut lamp, at(1000)), ["mute", "fade ffffff led 0"]);
    assert_eq!(lamp.due(), None);
}

#[test]
fn a_played_rhythm_that_was_held_up_goes_on_and_does_not_hurry() {
    let mut lamp = Lamp::new(Model::Mk1, Look::whole(Meaning::Ready), at(0));
    said(&mut lamp, at(0));
    assert_eq!(said(&mut lamp, at(60_000)).len(), 2);
}

#[test]
fn the_serial_number_tells_the_model_and_what_is_unknown_is_the_least() {
    assert_eq!(Model::of_serial("1A001234"), Model::Mk1);
    assert_eq!(Model::of_serial("20001234"), Model::TwoLeds);
    assert_eq!(Model::of_serial("3a0f1234"), Model::TwoLeds);
    assert_eq!(Model::of_serial(""), Model::Mk1);
    assert_eq!(Model::of_serial("x"), Model::Mk1);
}
