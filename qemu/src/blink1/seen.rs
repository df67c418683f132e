// SPDX-License-Identifier: Apache-2.0
//! What a person would have seen in a window of time: colours by name, and a rhythm.
//!
//! The window is sampled every 10 ms, the pace of the firmware. It should hold two periods or more of the slowest
//! rhythm that is expected; of a rhythm seen only once there is no period, and it is called irregular.

use std::fmt;
use std::time::Duration;

use super::record::{Colour, Led, Record};

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The colours that stood bright, in the order of their first appearance; none when it was dark.
    pub hues: Vec<Hue>,
    /// How they came and went.
    pub rhythm: Rhythm,
}

/// A colour by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is its own name")]
pub enum Hue {
    Red,
    Amber,
    Yellow,
    Green,
    Cyan,
    Blue,
    Magenta,
    White,
}

/// How colours came and went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rhythm {
    /// Dark all the time.
    Off,
    /// One colour all the time.
    Steady,
    /// Hard changes between light and dark.
    Blinking {
        /// How often it lights up in one period.
        flashes: usize,
        /// From one group of flashes to the next, to 10 ms.
        period: Duration,
        /// How long it is lit in one period, to 10 ms.
        lit: Duration,
    },
    /// Soft changes between light and dark, or bright and less bright.
    Breathing {
        /// From one breath to the next.
        period: Duration,
    },
    /// Never dark: one colour follows another.
    Alternating {
        /// From the first colour to the first colour.
        period: Duration,
    },
    /// Something changed, and nothing came back in an even measure.
    Irregular,
}

impl Seen {
    /// Looks at one LED from `from` until `to`.
    pub fn between(record: &Record, led: Led, from: Duration, to: Duration) -> Self {
        let moments =
            std::iter::successors(Some(from), |at| Some(*at + STEP)).take_while(|at| *at < to);
        let samples: Vec<Colour> = moments.map(|at| record.colour(led, at)).collect();
        let brightest = samples.iter().map(|colour| colour.brightness()).max().unwrap_or(0);
        if brightest < FAINT {
            return Self { hues: Vec::new(), rhythm: Rhythm::Off };
        }
        let level =
            |percent: u16| u8::try_from(u16::from(brightest) * percent / 100).unwrap_or(u8::MAX);
        let bright: Vec<bool> =
            samples.iter().map(|colour| colour.brightness() >= level(80)).collect();
        let hues = hues(&samples, &bright);
        let lit: Vec<bool> = samples.iter().map(|colour| colour.brightness() > level(25)).collect();
        let between = |colour: &&Colour| (level(15)..level(80)).contains(&colour.brightness());
        let soft =
            samples.iter().filter(between).count() * 4 > lit.iter().filter(|lit| **lit).count();
        let rhythm = if bright.iter().all(|bright| *bright) && hues.len() == 1 {
            Rhythm::Steady
        } else if soft {
            starts(&bright).and_then(|starts| measure(&starts)).map_or(Rhythm::Irregular, breathing)
        } else if lit.iter().all(|lit| *lit) {
            alternating(&samples, hues.first().copied())
        } else {
            blinking(&lit)
        };
        Self { hues, rhythm }
    }

    /// Whether it is this one colour in this kind of rhythm: `seen.is(Hue::Green, |rhythm| rhythm == Rhythm::Steady)`.
    pub fn is(&self, hue: Hue, rhythm: impl Fn(Rhythm) -> bool) -> bool {
        self.hues == [hue] && rhythm(self.rhythm)
    }
}

impl Rhythm {
    /// Whether it blinks with so many flashes in a period, give or take a tenth.
    pub fn blinks(self, flashes: usize, period: Duration) -> bool {
        let close = |seen: Duration| seen.abs_diff(period) * 10 <= period;
        matches!(self, Self::Blinking { flashes: count, period: seen, .. } if count == flashes && close(seen))
    }
}

impl Hue {
    /// The name of a colour that is not dark.
    pub fn of(colour: Colour) -> Self {
        let parts = [colour.red, colour.green, colour.blue].map(i32::from);
        let [red, green, blue] = parts;
        let (high, low) = (red.max(green).max(blue), red.min(green).min(blue));
        let span = high - low;
        if span * 4 < high {
            return Self::White;
        }
        let degrees = if high == red {
            (60 * (green - blue) / span + 360) % 360
        } else if high == green {
            60 * (blue - red) / span + 120
        } else {
            60 * (red - green) / span + 240
        };
        match degrees {
            15..52 => Self::Amber,
            52..70 => Self::Yellow,
            70..165 => Self::Green,
            165..200 => Self::Cyan,
            200..260 => Self::Blue,
            260..345 => Self::Magenta,
            _ => Self::Red,
        }
    }
}

/// Colours that stood bright for a twentieth of the window at least: a fade passes others.
fn hues(samples: &[Colour], bright: &[bool]) -> Vec<Hue> {
    let mut counts: Vec<(Hue, usize)> = Vec::new();
    for (colour, _) in samples.iter().zip(bright).filter(|(_, bright)| **bright) {
        let hue = Hue::of(*colour);
        match counts.iter_mut().find(|(known, _)| *known == hue) {
            Some((_, count)) => *count += 1,
            None => counts.push((hue, 1)),
        }
    }
    let whole: usize = counts.iter().map(|(_, count)| count).sum();
    counts.into_iter().filter(|(_, count)| count * 20 >= whole).map(|(hue, _)| hue).collect()
}

/// The places where something begins that was seen to begin; `None` if that never happened.
fn starts(on: &[bool]) -> Option<Vec<usize>> {
    let starts: Vec<usize> = (1..on.len()).filter(|&place| on[place] && !on[place - 1]).collect();
    (!starts.is_empty()).then_some(starts)
}

/// The smallest number of beginnings after which they repeat, and the steps that takes.
fn measure(starts: &[usize]) -> Option<(usize, usize)> {
    (1..=starts.len() / 2).find_map(|flashes| {
        let spans: Vec<usize> =
            starts.windows(flashes + 1).map(|window| window[flashes] - window[0]).collect();
        let (least, most) = (spans.iter().min()?, spans.iter().max()?);
        (most - least <= SLACK_STEPS).then(|| (flashes, spans.iter().sum::<usize>() / spans.len()))
    })
}

fn breathing((_, period): (usize, usize)) -> Rhythm {
    Rhythm::Breathing { period: steps(period) }
}

fn blinking(lit: &[bool]) -> Rhythm {
    let Some(starts) = starts(lit) else { return Rhythm::Irregular };
    let Some((flashes, period)) = measure(&starts) else { return Rhythm::Irregular };
    let first = starts[0];
    let one = &lit[first..(first + period).min(lit.len())];
    let lit = one.iter().filter(|lit| **lit).count();
    Rhythm::Blinking { flashes, period: steps(period), lit: steps(lit) }
}

fn alternating(samples: &[Colour], first: Option<Hue>) -> Rhythm {
    let firsts: Vec<bool> = samples.iter().map(|colour| Some(Hue::of(*colour)) == first).collect();
    match starts(&firsts).and_then(|starts| measure(&starts)) {
        Some((_, period)) => Rhythm::Alternating { period: steps(period) },
        None => Rhythm::Irregular,
    }
}

fn steps(count: usize) -> Duration {
    STEP * u32::try_from(count).unwrap_or(u32::MAX)
}

impl fmt::Display for Seen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> =
            self.hues.iter().map(|hue| format!("{hue:?}").to_lowercase()).collect();
        let colours = names.join(" and ");
        match self.rhythm {
            Rhythm::Off => formatter.write_str("dark"),
            Rhythm::Steady => write!(formatter, "{colours}, steady"),
            Rhythm::Blinking { flashes, period, .. } => {
                write!(formatter, "{colours}, {flashes} in {} ms", period.as_millis())
            }
            Rhythm::Breathing { period } => {
                write!(formatter, "{colours}, breathing, {} ms", period.as_millis())
            }
            Rhythm::Alternating { period } => {
                write!(formatter, "{colours}, in turn, {} ms", period.as_millis())
            }
            Rhythm::Irregular => write!(formatter, "{colours}, changing"),
        }
    }
}

const STEP: Duration = Duration::from_millis(10);

/// Below this a LED is dark to the eye.
const FAINT: u8 = 6;

/// A guest that is emulated tells its light late now and then; patterns in the device are exact.
const SLACK_STEPS: usize = 4;

#[cfg(test)]
mod tests {
    use super::super::record::Cause;
    use super::*;

    const AMBER: Colour = Colour::rgb(255, 120, 0);
    const GREEN: Colour = Colour::rgb(0, 255, 0);

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Repeats steps of (milliseconds until the next, colour, fade) for ten seconds and looks at the middle.
    fn look(steps: &[(u64, Colour, u64)]) -> Seen {
        let mut record = Record::default();
        let mut at = 0;
        while at < 10_000 {
            for (lasts, target, fade) in steps {
                record.begin(ms(at), Led::First, *target, ms(*fade), Cause::Set);
                at += lasts;
            }
        }
        Seen::between(&record, Led::First, ms(3003), ms(8003))
    }

    #[test]
    fn dark_and_steady_are_seen() {
        assert_eq!(look(&[(1000, Colour::OFF, 0)]).rhythm, Rhythm::Off);
        assert_eq!(
            look(&[(1000, GREEN, 0)]),
            Seen { hues: vec![Hue::Green], rhythm: Rhythm::Steady }
        );
    }

    #[test]
    fn one_flash_and_two_flashes_differ() {
        let one = look(&[(200, AMBER, 0), (800, Colour::OFF, 0)]);
        let two = look(&[
            (100, AMBER, 0),
            (150, Colour::OFF, 0),
            (100, AMBER, 0),
            (1150, Colour::OFF, 0),
        ]);

        assert_eq!(one.hues, [Hue::Amber]);
        assert_eq!(one.rhythm, Rhythm::Blinking { flashes: 1, period: ms(1000), lit: ms(200) });
        assert_eq!(two.rhythm, Rhythm::Blinking { flashes: 2, period: ms(1500), lit: ms(200) });
        assert!(two.rhythm.blinks(2, ms(1550)) && !two.rhythm.blinks(1, ms(1500)));
    }

    #[test]
    fn soft_changes_breathe() {
        let seen = look(&[(1000, GREEN, 1000), (1000, Colour::OFF, 1000)]);

        assert_eq!(
            seen,
            Seen { hues: vec![Hue::Green], rhythm: Rhythm::Breathing { period: ms(2000) } }
        );
        assert_eq!(seen.to_string(), "green, breathing, 2000 ms");
    }

    #[test]
    fn two_colours_in_turn_are_no_blinking() {
        let seen = look(&[(400, AMBER, 0), (600, GREEN, 0)]);

        assert_eq!(seen.rhythm, Rhythm::Alternating { period: ms(1000) });
        assert!(seen.hues.contains(&Hue::Amber) && seen.hues.contains(&Hue::Green));
    }

    #[test]
    fn a_single_change_has_no_rhythm() {
        let mut record = Record::default();
        record.begin(ms(500), Led::First, GREEN, ms(0), Cause::Fade);

        let seen = Seen::between(&record, Led::First, ms(0), ms(1000));

        assert_eq!(seen, Seen { hues: vec![Hue::Green], rhythm: Rhythm::Irregular });
    }

    #[test]
    fn colours_have_the_names_that_people_give_them() {
        let names: Vec<Hue> =
            [(255, 0, 0), (255, 100, 0), (255, 180, 0), (255, 255, 0), (0, 255, 0), (0, 255, 255)]
                .iter()
                .chain(&[(0, 0, 255), (255, 0, 255), (255, 255, 255), (0, 80, 200)])
                .map(|&(red, green, blue)| Hue::of(Colour::rgb(red, green, blue)))
                .collect();

        let first = [Hue::Red, Hue::Amber, Hue::Amber, Hue::Yellow, Hue::Green, Hue::Cyan];
        let last = [Hue::Blue, Hue::Magenta, Hue::White, Hue::Blue];
        assert_eq!(names, [&first[..], &last[..]].concat());
    }
}
