// SPDX-License-Identifier: Apache-2.0
//! The bytes of a blink(1): feature report 1, a command, its arguments.

use kubermesh_node::light::{Colour, Led, Line};
use kubermesh_node::time::Span;

/// Nine bytes on the wire, of which the firmware reads eight.
pub(crate) type Report = [u8; 9];

/// Something to say to a light.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Fade now; ends a pattern.
    Fade(Line),
    /// For which LED the next [`Command::Write`] is.
    NextLed(Led),
    /// Put a line into the device's memory.
    Write { place: u8, line: Line },
    /// Play these lines for ever, the last one included.
    Play { first: u8, last: u8 },
    /// Play no longer; the colours stay.
    Halt,
    /// Play these lines if this is not said again in time.
    Alive { within: Span, first: u8, last: u8 },
    /// Never again play lines for want of [`Command::Alive`].
    Mute,
}

impl Command {
    pub(crate) fn report(self) -> Report {
        let [command, a, b, c, d, e, f] = match self {
            Self::Fade(Line { led, colour: Colour { red, green, blue }, lasts }) => {
                let [high, low] = ticks(lasts);
                [b'c', red, green, blue, high, low, number(led)]
            }
            Self::NextLed(led) => [b'l', number(led), 0, 0, 0, 0, 0],
            Self::Write {
                place,
                line: Line { colour: Colour { red, green, blue }, lasts, .. },
            } => {
                let [high, low] = ticks(lasts);
                [b'P', red, green, blue, high, low, place]
            }
            Self::Play { first, last } => [b'p', 1, first, last, 0, 0, 0],
            Self::Halt => [b'p', 0, 0, 0, 0, 0, 0],
            Self::Alive { within, first, last } => {
                let [high, low] = ticks(within);
                [b'D', 1, high, low, KEEP_SHOWING, first, last]
            }
            Self::Mute => [b'D', 0, 0, 0, KEEP_SHOWING, 0, 0],
        };
        [REPORT_ID, command, a, b, c, d, e, f, 0]
    }
}

const fn number(led: Led) -> u8 {
    match led {
        Led::Both => 0,
        Led::First => 1,
        Led::Second => 2,
    }
}

/// Hundredths of a second, high byte first; the longest is 655 s.
fn ticks(span: Span) -> [u8; 2] {
    u16::try_from(span.as_millis() / 10).unwrap_or(u16::MAX).to_be_bytes()
}

/// The only report of mk1 and mk2; mk3 has another one that we do not use.
const REPORT_ID: u8 = 1;

/// Without it `D` switches the light off.
const KEEP_SHOWING: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    const AMBER: Colour = Colour { red: 255, green: 100, blue: 0 };

    /// The documentation's table of commands, by hand.
    #[test]
    fn commands_are_the_bytes_of_the_documentation() {
        let line =
            |led, milliseconds| Line { led, colour: AMBER, lasts: Span::from_millis(milliseconds) };
        let within = Span::from_secs(15);
        let table: [(Command, Report); 9] = [
            (Command::Fade(line(Led::Both, 10)), [1, 0x63, 255, 100, 0, 0, 1, 0, 0]),
            (Command::Fade(line(Led::Second, 0)), [1, 0x63, 255, 100, 0, 0, 0, 2, 0]),
            (Command::NextLed(Led::First), [1, 0x6c, 1, 0, 0, 0, 0, 0, 0]),
            (
                Command::Write { place: 7, line: line(Led::First, 5000) },
                [1, 0x50, 255, 100, 0, 0x01, 0xf4, 7, 0],
            ),
            (
                Command::Write { place: 31, line: line(Led::First, 700_000) },
                [1, 0x50, 255, 100, 0, 0xff, 0xff, 31, 0],
            ),
            (Command::Play { first: 0, last: 5 }, [1, 0x70, 1, 0, 5, 0, 0, 0, 0]),
            (Command::Halt, [1, 0x70, 0, 0, 0, 0, 0, 0, 0]),
            (
                Command::Alive { within, first: 16, last: 23 },
                [1, 0x44, 1, 0x05, 0xdc, 1, 16, 23, 0],
            ),
            (Command::Mute, [1, 0x44, 0, 0, 0, 1, 0, 0, 0]),
        ];
        for (command, bytes) in table {
            assert_eq!(command.report(), bytes, "{command:?}");
        }
    }
}
