// SPDX-License-Identifier: Apache-2.0
//! The firmware of a blink(1): feature reports in, replies and colours out, on a clock that the caller brings.
//!
//! A line of a pattern lasts as long as its fade; a black line without a duration is skipped. `D` fires once: after
//! that it wants to be set again. (blink(1) HID commands; behaviour of the mk2's firmware)

use std::time::Duration;

use super::record::{Cause, Colour, Led, Record};

/// Which blink(1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One LED, 12 lines, no way to play a part of them.
    Mk1,
    /// Two LEDs, 32 lines of which 16 survive in flash.
    Mk2,
    /// As mk2, and all lines survive.
    Mk3,
}

/// The state of one device.
#[derive(Debug)]
pub(super) struct Device {
    kind: Kind,
    lines: Vec<Line>,
    flash: Vec<Line>,
    next_led: u8,
    play: Option<Play>,
    /// What the last `p` or `D` said, for `S`.
    range: (u8, u8, u8),
    server_down: Option<ServerDown>,
    reply: [u8; REPORT_BYTES],
    record: Record,
}

#[derive(Clone, Copy, Debug, Default)]
struct Line {
    colour: Colour,
    ticks: u16,
    led: u8,
}

#[derive(Clone, Copy, Debug)]
struct Play {
    start: u8,
    /// One past the last.
    end: u8,
    /// Rounds left; 0 has no end.
    rounds: u8,
    next: u8,
    next_at: Duration,
    server_down: bool,
}

#[derive(Clone, Copy, Debug)]
struct ServerDown {
    at: Duration,
    start: u8,
    end: u8,
}

impl Device {
    pub(super) fn new(kind: Kind) -> Self {
        let lines = usize::from(kind.lines());
        Self {
            kind,
            lines: vec![Line::default(); lines],
            flash: vec![Line::default(); lines],
            next_led: 0,
            play: None,
            range: (0, kind.lines(), 0),
            server_down: None,
            reply: [0; REPORT_BYTES],
            record: Record::default(),
        }
    }

    /// A SET_REPORT: nine bytes on the wire, of which the firmware reads eight.
    pub(super) fn set_report(&mut self, report: &[u8], now: Duration) {
        self.advance(now);
        let mut bytes = [0; REPORT_BYTES];
        let known = report.len().min(REPORT_BYTES);
        bytes[..known].copy_from_slice(&report[..known]);
        if bytes[0] == REPORT_ID {
            self.reply = bytes;
            self.obey(bytes, now);
        }
    }

    /// A GET_REPORT: the last report, with what the command put into it.
    pub(super) fn report(&self) -> [u8; REPORT_BYTES + 1] {
        let mut wire = [0; REPORT_BYTES + 1];
        wire[..REPORT_BYTES].copy_from_slice(&self.reply);
        wire
    }

    /// All it showed until now.
    pub(super) fn record(&mut self, now: Duration) -> &Record {
        self.advance(now);
        &self.record
    }

    /// When it will change by itself, if it is told nothing; `None` for a steady light.
    pub(super) fn next_change(&mut self, now: Duration) -> Option<Duration> {
        self.advance(now);
        let fading =
            self.record.all().iter().rev().take(4).any(|shown| shown.at + shown.fade > now);
        let due = [self.play.map(|play| play.next_at), self.server_down.map(|down| down.at)];
        let due = due.into_iter().flatten().min();
        if fading { Some(now) } else { due }
    }

    /// The plug is pulled: dark, and what was not in flash is forgotten.
    pub(super) fn lose_power(&mut self, now: Duration) {
        self.advance(now);
        self.show(Colour::OFF, Duration::ZERO, 0, Cause::PowerLost, now);
        let (kind, flash) = (self.kind, std::mem::take(&mut self.flash));
        let record = std::mem::take(&mut self.record);
        *self = Self { lines: flash.clone(), flash, record, ..Self::new(kind) };
    }

    fn obey(&mut self, report: [u8; REPORT_BYTES], now: Duration) {
        let [_, command, a, b, c, d, e, f] = report;
        let colour = Colour::rgb(a, b, c);
        let ticks = u16::from_be_bytes([d, e]);
        match command {
            b'c' => self.fade(colour, span(ticks), f, Cause::Fade, now),
            b'n' => self.fade(colour, Duration::ZERO, f, Cause::Set, now),
            b'r' => self.reply_colour(f, now),
            b'D' => self.tickle(a != 0, u16::from_be_bytes([b, c]), d != 0, (e, f), now),
            b'p' => self.play((a != 0).then_some((b, self.past(c), d)), now),
            b'S' => self.reply_play(),
            b'P' => self.set_line(f, Line { colour, ticks, led: self.next_led }),
            b'R' => self.reply_line(f),
            b'l' => self.next_led = a,
            b'W' if [a, b, c, d] == FLASH_WORD => self.save(),
            b'v' => (self.reply[3], self.reply[4]) = self.kind.version(),
            _ => {}
        }
    }

    fn fade(&mut self, colour: Colour, fade: Duration, led: u8, cause: Cause, now: Duration) {
        self.play = None;
        self.show(colour, fade, led, cause, now);
    }

    fn show(&mut self, target: Colour, fade: Duration, led: u8, cause: Cause, at: Duration) {
        for one in self.kind.leds(led) {
            self.record.begin(at, *one, target, fade, cause);
        }
    }

    fn tickle(&mut self, on: bool, ticks: u16, stay: bool, (start, last): (u8, u8), now: Duration) {
        let end = self.past(last);
        let armed = on && ticks > 0;
        self.server_down = armed.then(|| ServerDown { at: now + span(ticks), start, end });
        if !stay {
            self.fade(Colour::OFF, Duration::ZERO, 0, Cause::Tickle, now);
        }
    }

    /// One past an inclusive end; 0 and what is too large mean all.
    fn past(&self, last: u8) -> u8 {
        let all = self.kind.lines();
        if last == 0 || last >= all { all } else { last + 1 }
    }

    fn play(&mut self, range: Option<(u8, u8, u8)>, now: Duration) {
        self.play = range.map(|(start, end, rounds)| {
            self.range = (start, end, rounds);
            Play { start, end, rounds, next: start, next_at: now, server_down: false }
        });
    }

    fn set_line(&mut self, place: u8, line: Line) {
        let place = if place < self.kind.lines() { place } else { 0 };
        self.lines[usize::from(place)] = line;
    }

    fn save(&mut self) {
        let kept = usize::from(self.kind.flash_lines());
        self.flash[..kept].copy_from_slice(&self.lines[..kept]);
    }

    fn reply_colour(&mut self, led: u8, now: Duration) {
        let led = if led == 2 { Led::Second } else { Led::First };
        let Colour { red, green, blue } = self.record.colour(led, now);
        self.reply[2..7].copy_from_slice(&[red, green, blue, 0, 0]);
    }

    fn reply_play(&mut self) {
        let (start, end, rounds) = self.range;
        let rounds = self.play.map_or(rounds, |play| play.rounds);
        let place = self.play.map_or(start, |play| play.next);
        self.reply[2..].copy_from_slice(&[
            u8::from(self.play.is_some()),
            start,
            end,
            rounds,
            place,
            0,
        ]);
    }

    fn reply_line(&mut self, place: u8) {
        let place = if place < self.kind.lines() { place } else { 0 };
        let Line { colour: Colour { red, green, blue }, ticks, led } =
            self.lines[usize::from(place)];
        let [high, low] = ticks.to_be_bytes();
        self.reply[2..].copy_from_slice(&[red, green, blue, high, low, led]);
    }

    /// Lets happen what was due until now, each at its own time.
    fn advance(&mut self, now: Duration) {
        loop {
            let line_at = self.play.map(|play| play.next_at).filter(|at| *at <= now);
            let down = self.server_down.filter(|down| down.at <= now);
            match (line_at, down) {
                (None, None) => return,
                (Some(at), Some(down)) if down.at < at => self.go_down(down),
                (None, Some(down)) => self.go_down(down),
                (Some(_), _) => self.play_line(),
            }
        }
    }

    fn go_down(&mut self, down: ServerDown) {
        self.server_down = None;
        self.range = (down.start, down.end, 0);
        let ServerDown { at, start, end } = down;
        self.play =
            Some(Play { start, end, rounds: 0, next: start, next_at: at, server_down: true });
    }

    fn play_line(&mut self) {
        let Some(mut play) = self.play else { return };
        let line = self.lines.get(usize::from(play.next)).copied().unwrap_or_default();
        let cause = if play.server_down {
            Cause::ServerDown { line: play.next }
        } else {
            Cause::Pattern { line: play.next }
        };
        if line.ticks != 0 || line.colour != Colour::OFF {
            self.show(line.colour, span(line.ticks), line.led, cause, play.next_at);
        }
        // The firmware looks once a millisecond, so a line without a duration takes one.
        play.next_at += span(line.ticks).max(Duration::from_millis(1));
        play.next = play.next.saturating_add(1);
        let mut ended = false;
        if play.next >= play.end {
            play.next = play.start;
            ended = play.rounds == 1;
            play.rounds = play.rounds.saturating_sub(1);
        }
        self.play = (!ended).then_some(play);
    }
}

impl Kind {
    fn lines(self) -> u8 {
        match self {
            Self::Mk1 => 12,
            Self::Mk2 | Self::Mk3 => 32,
        }
    }

    fn flash_lines(self) -> u8 {
        match self {
            Self::Mk1 => 12,
            Self::Mk2 => 16,
            Self::Mk3 => 32,
        }
    }

    fn leds(self, number: u8) -> &'static [Led] {
        match (self, number) {
            (Self::Mk1, _) | (_, 1) => &[Led::First],
            (_, 0) => &Led::BOTH,
            (_, 2) => &[Led::Second],
            (_, _) => &[],
        }
    }

    /// ASCII digits, as `v` gives them.
    fn version(self) -> (u8, u8) {
        match self {
            Self::Mk1 => (b'1', b'0'),
            Self::Mk2 => (b'2', b'4'),
            Self::Mk3 => (b'3', b'3'),
        }
    }
}

fn span(ticks: u16) -> Duration {
    Duration::from_millis(u64::from(ticks) * 10)
}

/// The only report of mk1 and mk2.
const REPORT_ID: u8 = 1;

/// With its id; the ninth byte on the wire means nothing.
const REPORT_BYTES: usize = 8;

/// Guards `W` against a stray report.
const FLASH_WORD: [u8; 4] = [0xbe, 0xef, 0xca, 0xfe];
