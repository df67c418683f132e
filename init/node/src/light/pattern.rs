// SPDX-License-Identifier: Apache-2.0
//! Rhythms as lines that a blink(1) plays by itself.
//!
//! ```text
//! steps of one LED, or of each ─► levels over time ─► at each edge of either: a line
//! ```
//!
//! The device plays one line after the other and each lasts as long as its fade, so to hold a
//! colour is to fade to the colour that is there, and a fade of one LED is cut where the other
//! one has an edge. A black line without a duration would be skipped: no line is without one.

use crate::time::Span;

/// Red, green, blue; 255 is all that the LED can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is its own name")]
pub struct Colour {
    pub red: u8,
    pub green: u8,
    pub blue: u8,
}

/// Which LED of a light.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Led {
    /// All that there are.
    Both,
    /// The one that shows the phase.
    First,
    /// The one that shows faults.
    Second,
}

/// One line: fade one LED to a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Which one.
    pub led: Led,
    /// To this colour.
    pub colour: Colour,
    /// In this time; then comes the next line.
    pub lasts: Span,
}

/// What a light plays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// Once, at the start: the colour in which the loop expects each LED.
    pub opening: Vec<Line>,
    /// For ever. Never a single line: the device takes a loop that ends at line 0 for all lines.
    pub cycle: Vec<Line>,
}

impl Pattern {
    /// Plays these tracks beside each other.
    pub(super) fn of(tracks: &[Track]) -> Self {
        let period_ms = tracks.iter().map(Track::period_ms).max().unwrap_or(0);
        let mut edges: Vec<u32> = tracks.iter().flat_map(|track| track.edges(period_ms)).collect();
        edges.sort_unstable();
        edges.dedup();
        let starts = std::iter::once(0).chain(edges.iter().copied());
        let cycle = starts.zip(&edges).flat_map(|(from, to)| lines(tracks, from, *to)).collect();
        let opening = tracks.iter().map(|track| track.line(0, SNAP_MS)).collect();
        Self { opening, cycle }
    }
}

/// The lines of a stretch without an edge inside.
fn lines(tracks: &[Track], from_ms: u32, to_ms: u32) -> Vec<Line> {
    let lasts = to_ms.saturating_sub(from_ms);
    let moving = |track: &&Track| track.level(from_ms) != track.level(to_ms);
    let moved: Vec<Line> =
        tracks.iter().filter(moving).map(|track| track.line(to_ms, lasts)).collect();
    match moved.is_empty() {
        true => tracks.first().map(|track| track.line(to_ms, lasts)).into_iter().collect(),
        false => moved,
    }
}

/// A change of light and how long it stays so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    lit: bool,
    fade_ms: u32,
    hold_ms: u32,
}

impl Step {
    /// Lit at once; so many milliseconds in all.
    pub(super) const fn on(lasts_ms: u32) -> Self {
        Self { lit: true, fade_ms: SNAP_MS, hold_ms: lasts_ms.saturating_sub(SNAP_MS) }
    }

    /// Dark at once; so many milliseconds in all.
    pub(super) const fn off(lasts_ms: u32) -> Self {
        Self { lit: false, fade_ms: SNAP_MS, hold_ms: lasts_ms.saturating_sub(SNAP_MS) }
    }

    /// Slowly lit or dark, then held.
    pub(super) const fn soft(lit: bool, fade_ms: u32, hold_ms: u32) -> Self {
        Self { lit, fade_ms, hold_ms }
    }

    const fn level(self) -> u32 {
        if self.lit { FULL } else { 0 }
    }
}

/// The rhythm of one LED in one colour.
#[derive(Clone, Copy, Debug)]
pub(super) struct Track {
    pub(super) led: Led,
    pub(super) colour: Colour,
    pub(super) steps: &'static [Step],
}

impl Track {
    fn period_ms(&self) -> u32 {
        self.steps.iter().map(|step| step.fade_ms.saturating_add(step.hold_ms)).sum()
    }

    /// Ends of fades and of holds, the rhythm repeated until then.
    fn edges(&self, until_ms: u32) -> Vec<u32> {
        let lengths = self.steps.iter().cycle().flat_map(|step| [step.fade_ms, step.hold_ms]);
        let ends = lengths.scan(0_u32, |end, length| {
            *end = end.saturating_add(length);
            Some(*end)
        });
        ends.take_while(|end| *end <= until_ms).collect()
    }

    /// How bright it is at a moment, in thousandths. The loop's start is its end.
    pub(super) fn level(&self, at_ms: u32) -> u32 {
        let period = self.period_ms();
        let within = at_ms.checked_rem(period).filter(|rest| *rest != 0).unwrap_or(period);
        let mut begins = 0_u32;
        let mut before = self.steps.last().map_or(0, |step| step.level());
        for step in self.steps {
            let faded = begins.saturating_add(step.fade_ms);
            if within < faded {
                let passed = within.saturating_sub(begins);
                return mix(before, step.level(), passed, step.fade_ms);
            }
            begins = faded.saturating_add(step.hold_ms);
            before = step.level();
            if within <= begins {
                break;
            }
        }
        before
    }

    fn line(&self, at_ms: u32, lasts_ms: u32) -> Line {
        let level = self.level(at_ms);
        let dimmed = |part: u8| {
            let scaled = u32::from(part).saturating_mul(level).checked_div(FULL);
            scaled.and_then(|scaled| u8::try_from(scaled).ok()).unwrap_or(part)
        };
        let Colour { red, green, blue } = self.colour;
        let colour = Colour { red: dimmed(red), green: dimmed(green), blue: dimmed(blue) };
        Line { led: self.led, colour, lasts: Span::from_millis(u64::from(lasts_ms)) }
    }
}

/// The level at `passed` of `whole` milliseconds on the way from one to the other.
fn mix(from: u32, to: u32, passed: u32, whole: u32) -> u32 {
    let left = whole.saturating_sub(passed);
    let sum = from.saturating_mul(left).saturating_add(to.saturating_mul(passed));
    sum.checked_div(whole).unwrap_or(to)
}

/// The device's clock ticks every 10 ms: the hardest edge there is.
const SNAP_MS: u32 = 10;

/// A level of all light, in thousandths.
const FULL: u32 = 1000;
