// SPDX-License-Identifier: Apache-2.0
//! What a light showed: each change with its time and cause, and from these the colour at any moment.

use std::time::Duration;

/// One of a light's two LEDs. An mk1 has the first only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Led {
    /// `ledn` 1.
    First,
    /// `ledn` 2.
    Second,
}

impl Led {
    /// Both, in their order.
    pub const BOTH: [Self; 2] = [Self::First, Self::Second];
}

/// Red, green and blue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Colour {
    /// 0 to 255.
    pub red: u8,
    /// 0 to 255.
    pub green: u8,
    /// 0 to 255.
    pub blue: u8,
}

impl Colour {
    /// Dark.
    pub const OFF: Self = Self::rgb(0, 0, 0);

    /// From its three parts.
    pub const fn rgb(red: u8, green: u8, blue: u8) -> Self {
        Self { red, green, blue }
    }

    /// The brightest of its parts.
    pub fn brightness(self) -> u8 {
        self.red.max(self.green).max(self.blue)
    }

    fn towards(self, target: Self, done: Duration, whole: Duration) -> Self {
        if done >= whole {
            return target;
        }
        let part = done.as_secs_f64() / whole.as_secs_f64();
        let mix = |from: u8, to: u8| -> u8 {
            let value = f64::from(from) + (f64::from(to) - f64::from(from)) * part;
            BYTES[value.round().clamp(0.0, 255.0) as usize]
        };
        Self::rgb(mix(self.red, target.red), mix(self.green, target.green), mix(self.blue, target.blue))
    }
}

/// Why a colour was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// `c`.
    Fade,
    /// `n`.
    Set,
    /// A line of a pattern that was asked for with `p`.
    Pattern {
        /// Its line.
        line: u8,
    },
    /// A line of the pattern that `D` left for the time when nobody tickles any more.
    ServerDown {
        /// Its line.
        line: u8,
    },
    /// `D` with "stay" 0.
    Tickle,
    /// It was pulled out, or its machine lost power.
    PowerLost,
}

/// A LED begins to go to a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// When, on the light's own clock.
    pub at: Duration,
    /// Which LED.
    pub led: Led,
    /// Where it goes.
    pub target: Colour,
    /// How long it takes.
    pub fade: Duration,
    /// Why.
    pub cause: Cause,
}

/// All that a light showed, in order of time.
#[derive(Clone, Debug, Default)]
pub struct Record(Vec<Shown>);

impl Record {
    pub(super) fn push(&mut self, shown: Shown) {
        self.0.push(shown);
    }

    /// Every change.
    pub fn all(&self) -> &[Shown] {
        &self.0
    }

    /// The changes that began in a window of time.
    pub fn between(&self, from: Duration, to: Duration) -> impl Iterator<Item = &Shown> {
        self.0.iter().filter(move |shown| (from..to).contains(&shown.at))
    }

    /// The colour of a LED at a moment.
    pub fn colour(&self, led: Led, at: Duration) -> Colour {
        let mut colour = Colour::OFF;
        let mut before: Option<&Shown> = None;
        for shown in self.0.iter().filter(|shown| shown.led == led).take_while(|shown| shown.at <= at) {
            colour = before.map_or(colour, |old| colour.towards(old.target, shown.at - old.at, old.fade));
            before = Some(shown);
        }
        before.map_or(colour, |last| colour.towards(last.target, at - last.at, last.fade))
    }

    /// The colours of a LED at evenly spaced moments, much faster than one by one.
    pub(super) fn samples(&self, led: Led, from: Duration, to: Duration, step: Duration) -> Vec<Colour> {
        let changes: Vec<&Shown> = self.0.iter().filter(|shown| shown.led == led).collect();
        let mut start = self.colour(led, from);
        let mut next = changes.partition_point(|shown| shown.at <= from);
        let mut going = next.checked_sub(1).map(|last| (changes[last].target, changes[last].at + changes[last].fade));
        let mut since = from;
        let mut samples = Vec::new();
        let mut at = from;
        while at < to {
            while let Some(shown) = changes.get(next).filter(|shown| shown.at <= at) {
                start = now(start, since, going, shown.at);
                since = shown.at;
                going = Some((shown.target, shown.at + shown.fade));
                next += 1;
            }
            samples.push(now(start, since, going, at));
            at += step;
        }
        samples
    }
}

fn now(start: Colour, since: Duration, going: Option<(Colour, Duration)>, at: Duration) -> Colour {
    let Some((target, arrival)) = going else { return start };
    start.towards(target, at - since, arrival.saturating_sub(since))
}

/// Every byte at its own place: a rounded and clamped float needs no cast that could truncate.
const BYTES: [u8; 256] = {
    let mut bytes = [0; 256];
    let mut place = 0;
    while place < 256 {
        bytes[place] = place.to_le_bytes()[0];
        place += 1;
    }
    bytes
};

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn shown(at: u64, led: Led, target: Colour, fade: u64) -> Shown {
        Shown { at: ms(at), led, target, fade: ms(fade), cause: Cause::Fade }
    }

    #[test]
    fn a_fade_passes_through_the_colours_between() {
        let mut record = Record::default();
        record.push(shown(100, Led::First, Colour::rgb(200, 100, 0), 1000));

        assert_eq!(record.colour(Led::First, ms(99)), Colour::OFF);
        assert_eq!(record.colour(Led::First, ms(600)), Colour::rgb(100, 50, 0));
        assert_eq!(record.colour(Led::First, ms(5000)), Colour::rgb(200, 100, 0));
        assert_eq!(record.colour(Led::Second, ms(5000)), Colour::OFF);
    }

    #[test]
    fn a_fade_that_is_interrupted_goes_on_from_where_it_was() {
        let mut record = Record::default();
        record.push(shown(0, Led::First, Colour::rgb(200, 0, 0), 1000));
        record.push(shown(500, Led::First, Colour::OFF, 100));

        assert_eq!(record.colour(Led::First, ms(550)), Colour::rgb(50, 0, 0));
        let samples = record.samples(Led::First, ms(450), ms(650), ms(50));
        assert_eq!(samples.iter().map(|colour| colour.red).collect::<Vec<_>>(), [90, 100, 50, 0]);
    }
}
