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
        let (gone, all) = (done.as_nanos(), whole.as_nanos());
        let mix = |from: u8, to: u8| -> u8 {
            let sum = u128::from(from) * (all - gone) + u128::from(to) * gone;
            u8::try_from((sum + all / 2) / all).unwrap_or(u8::MAX)
        };
        Self::rgb(
            mix(self.red, target.red),
            mix(self.green, target.green),
            mix(self.blue, target.blue),
        )
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
    /// What it showed until then.
    pub from: Colour,
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
    /// A LED sets out for a colour, from the one it has now.
    pub(super) fn begin(
        &mut self,
        at: Duration,
        led: Led,
        target: Colour,
        fade: Duration,
        cause: Cause,
    ) {
        let from = self.colour(led, at);
        self.0.push(Shown { at, led, from, target, fade, cause });
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
        let begun = self.0.partition_point(|shown| shown.at <= at);
        let last = self.0[..begun].iter().rev().find(|shown| shown.led == led);
        last.map_or(Colour::OFF, |shown| {
            shown.from.towards(shown.target, at - shown.at, shown.fade)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_fade_passes_through_the_colours_between() {
        let mut record = Record::default();
        record.begin(ms(100), Led::First, Colour::rgb(200, 100, 0), ms(1000), Cause::Fade);

        assert_eq!(record.colour(Led::First, ms(99)), Colour::OFF);
        assert_eq!(record.colour(Led::First, ms(600)), Colour::rgb(100, 50, 0));
        assert_eq!(record.colour(Led::First, ms(5000)), Colour::rgb(200, 100, 0));
        assert_eq!(record.colour(Led::Second, ms(5000)), Colour::OFF);
    }

    #[test]
    fn a_fade_that_is_interrupted_goes_on_from_where_it_was() {
        let mut record = Record::default();
        record.begin(ms(0), Led::First, Colour::rgb(200, 0, 0), ms(1000), Cause::Fade);
        record.begin(ms(500), Led::First, Colour::OFF, ms(100), Cause::Fade);

        assert_eq!(record.colour(Led::First, ms(450)), Colour::rgb(90, 0, 0));
        assert_eq!(record.colour(Led::First, ms(550)), Colour::rgb(50, 0, 0));
        assert_eq!(record.colour(Led::First, ms(650)), Colour::OFF);
    }
}
