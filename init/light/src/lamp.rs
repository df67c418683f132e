// SPDX-License-Identifier: Apache-2.0
//! One light that answers: what it must be told next, and when.
//!
//! ```text
//! alive (every 5 s, before all else) · lines of "dead", once · halt, lines, opening colours, play
//! ```
//!
//! It is halted while its lines change: the firmware keeps one LED number for `l` and for the line
//! that it plays, so a playing light would put lines on the wrong LED. A mk1 has no second LED,
//! cannot play a part of its lines and writes each of them to its EEPROM: its rhythm comes from
//! here, line by line, and dead it plays what it was sold with.

use std::collections::VecDeque;

use kubermesh_node::light::{Line, Look, Meaning, Pattern};
use kubermesh_node::time::{Span, Time};

use crate::command::Command;

/// Which blink(1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Model {
    /// One LED.
    Mk1,
    /// Two LEDs and 32 lines: mk2, mk3.
    TwoLeds,
}

impl Model {
    /// By the first digit of the serial number, as the maker's own library does it; nothing is
    /// ever read from the device. What is unknown is treated as the least of them.
    pub(crate) fn of_serial(serial: &str) -> Self {
        match serial.bytes().next() {
            Some(b'2'..=b'9') => Self::TwoLeds,
            _ => Self::Mk1,
        }
    }
}

/// What one light has been told and what it has yet to be told.
#[derive(Debug)]
pub(crate) struct Lamp {
    model: Model,
    look: Look,
    /// Once after it was plugged in; not replaced by a new look.
    first: VecDeque<Command>,
    /// The look that is being written.
    then: VecDeque<Command>,
    /// Plays a mk1's rhythm.
    player: Option<Player>,
    /// When "alive" is due; none once the light may stay as it is.
    alive_at: Option<Time>,
}

#[derive(Debug)]
struct Player {
    lines: VecDeque<Line>,
    at: Time,
}

impl Lamp {
    pub(crate) fn new(model: Model, look: Look, now: Time) -> Self {
        let first = match model {
            Model::Mk1 => VecDeque::new(),
            Model::TwoLeds => dead_lines(),
        };
        let mut lamp =
            Self { model, look, first, then: VecDeque::new(), player: None, alive_at: Some(now) };
        lamp.show(look, now);
        lamp
    }

    /// Shows this from now on, whatever it was being told.
    pub(crate) fn show(&mut self, look: Look, now: Time) {
        self.look = look;
        let is_last = look.first == Meaning::SafeToUnplug;
        // The light stays on its own then: nobody will be there to say "alive".
        self.alive_at = if is_last { None } else { Some(self.alive_at.unwrap_or(now)) };
        self.then = if is_last { VecDeque::from([Command::Mute]) } else { VecDeque::new() };
        self.player = None;
        match self.model {
            Model::TwoLeds => self.then.extend(told(&look.pattern())),
            Model::Mk1 => {
                let lines = look.on_one_led().pattern().cycle;
                // It has nobody to play its rhythm once this worker has ended: steady, then.
                self.then.extend(lines.first().copied().filter(|_| is_last).map(Command::Fade));
                self.player = (!is_last).then(|| Player { lines: lines.into(), at: now });
            }
        }
    }

    /// When it wants to be told something.
    pub(crate) fn due(&self) -> Option<Time> {
        let waiting = !(self.first.is_empty() && self.then.is_empty());
        let waiting = waiting.then_some(Time::default());
        let played = self.player.as_ref().map(|player| player.at);
        [waiting, played, self.alive_at].into_iter().flatten().min()
    }

    /// Whether it plays the look that it was given.
    pub(crate) fn is_settled(&self) -> bool {
        self.first.is_empty() && self.then.is_empty()
    }

    /// What to say to it now.
    pub(crate) fn next(&mut self, now: Time) -> Option<Command> {
        if let Some(due) = self.alive_at.filter(|due| *due <= now) {
            self.alive_at = Some(now.after(ALIVE_EVERY));
            if now.since(due) > MAY_BE_LATE {
                self.show(self.look, now);
            }
            let (first, last) = (DEAD_FIRST, DEAD_LAST);
            return Some(Command::Alive { within: DEAD_AFTER, first, last });
        }
        self.first.pop_front().or_else(|| self.then.pop_front()).or_else(|| self.play(now))
    }

    fn play(&mut self, now: Time) -> Option<Command> {
        let player = self.player.as_mut().filter(|player| player.at <= now)?;
        let line = player.lines.front().copied()?;
        player.lines.rotate_left(1);
        // From when it was due, not from now: a slow bus does not slow the rhythm. After a long
        // wait it goes on from here and does not hurry through what it missed.
        let behind = now.since(player.at) > line.lasts;
        player.at = if behind { now } else { player.at }.after(line.lasts);
        Some(Command::Fade(line))
    }
}

/// The lines that the device plays when nobody says "alive".
fn dead_lines() -> VecDeque<Command> {
    let lines = Look::whole(Meaning::Dead).pattern().cycle;
    let written = lines.into_iter().zip(DEAD_FIRST..=DEAD_LAST);
    let written = written.flat_map(|(line, place)| write(place, line));
    std::iter::once(Command::Halt).chain(written).collect()
}

fn told(pattern: &Pattern) -> Vec<Command> {
    let places = 0..DEAD_FIRST;
    let mut commands = vec![Command::Halt];
    let mut last = 0;
    for (line, place) in pattern.cycle.iter().zip(places) {
        commands.extend(write(place, *line));
        last = place;
    }
    commands.extend(pattern.opening.iter().copied().map(Command::Fade));
    commands.push(Command::Play { first: 0, last });
    commands
}

fn write(place: u8, line: Line) -> [Command; 2] {
    [Command::NextLed(line.led), Command::Write { place, line }]
}

/// A third of [`DEAD_AFTER`]: two may be late, or lost to a device that blocks for its five
/// seconds (usbhid's timeout), before a living light calls itself dead.
const ALIVE_EVERY: Span = Span::from_secs(5);

/// Longer than a restart of this worker takes.
const DEAD_AFTER: Span = Span::from_secs(15);

/// Later than that the light may look dead already (its clock is some percent off) and goes on
/// with it though it hears "alive" again: it is told its look anew.
const MAY_BE_LATE: Span = Span::from_secs(8);

/// Lines 0 to 15 are for the look, 16 to 23 for death.
const DEAD_FIRST: u8 = 16;
const DEAD_LAST: u8 = 23;

#[cfg(test)]
mod tests;
