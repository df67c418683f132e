// SPDX-License-Identifier: Apache-2.0
//! The line above the consoles that shows one node: its light in its real colours, its rhythm, its cables.

use kubermesh_qemu::blink1::{Colour, Seen};

use crate::mesh::Look;

/// How many colours the terminal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Palette {
    /// 24 bits.
    True,
    /// The cube of 216 and the greys.
    Cube,
    /// None: `NO_COLOR` is set, or the terminal has none.
    Plain,
}

impl Palette {
    /// From the environment: `NO_COLOR`, `COLORTERM` and `TERM`.
    pub(crate) fn of(no_color: Option<&str>, colorterm: Option<&str>, term: Option<&str>) -> Self {
        match (no_color, colorterm, term) {
            (Some(word), _, _) if !word.is_empty() => Self::Plain,
            (_, Some("truecolor" | "24bit"), _) => Self::True,
            (_, _, None | Some("" | "dumb" | "vt100" | "vt220")) => Self::Plain,
            // The Linux console takes 24 bits and shows the nearest of its sixteen.
            (_, _, Some("linux")) => Self::True,
            (_, _, Some(_)) => Self::Cube,
        }
    }

    fn ink(self, colour: Colour) -> String {
        let Colour { red, green, blue } = colour;
        match self {
            Self::True => format!("\x1b[38;2;{red};{green};{blue}m"),
            Self::Cube => {
                let step = |part: u8| u16::from(part) * 5 / 255;
                format!("\x1b[38;5;{}m", 16 + 36 * step(red) + 6 * step(green) + step(blue))
            }
            Self::Plain => String::new(),
        }
    }
}

/// One node's line, not longer than `width` columns.
pub(crate) fn line(look: &Look, shown: bool, palette: Palette, width: usize) -> String {
    let mark = if shown { '>' } else { ' ' };
    let lights: Vec<String> =
        look.colours.iter().map(|colour| lamp(*colour, look, palette)).collect();
    let words = words(look);
    // Mark, space, name, two lamps with their spaces.
    let used = 2 + look.name.chars().count() + 7;
    let words: String = words.chars().take(width.saturating_sub(used)).collect();
    format!("{mark} {}  {} {}  {words}", look.name, lights[0], lights[1])
}

/// What the line says in words, also where there is no colour.
pub(crate) fn words(look: &Look) -> String {
    let light = match (look.on, look.light_plugged) {
        (_, false) => "no blink(1)".to_owned(),
        (false, _) => "no power".to_owned(),
        (true, true) => light_words(&look.seen),
    };
    let cable = |word: &str, cable: Option<bool>| match cable {
        None => String::new(),
        Some(true) => format!("   {word} plugged"),
        Some(false) => format!("   {word} PULLED"),
    };
    let [before, after] = look.cables;
    format!("{light}{}{}", cable("cable before", before), cable("cable after", after))
}

/// Both LEDs in words.
pub(crate) fn light_words([first, second]: &[Seen; 2]) -> String {
    if first == second { first.to_string() } else { format!("{first} / {second}") }
}

fn lamp(colour: Colour, look: &Look, palette: Palette) -> String {
    if !look.light_plugged {
        return "-".to_owned();
    }
    if colour.brightness() < DARK {
        return "○".to_owned();
    }
    format!("{}●{}", palette.ink(colour), if palette == Palette::Plain { "" } else { "\x1b[0m" })
}

/// A terminal shows nothing below this.
const DARK: u8 = 6;

#[cfg(test)]
mod tests {
    use kubermesh_qemu::blink1::{Hue, Rhythm};

    use super::*;

    fn look() -> Look {
        let green = Seen { hues: vec![Hue::Green], rhythm: Rhythm::Steady };
        let dark = Seen { hues: vec![], rhythm: Rhythm::Off };
        Look {
            name: "node1".into(),
            on: true,
            light_plugged: true,
            colours: [Colour::rgb(0, 255, 0), Colour::OFF],
            seen: [green, dark],
            cables: [None, Some(false)],
        }
    }

    #[test]
    fn a_line_shows_both_leds_and_the_cable() {
        assert_eq!(
            line(&look(), true, Palette::True, 80),
            "> node1  \x1b[38;2;0;255;0m●\x1b[0m ○  green, steady / dark   cable after PULLED"
        );
    }

    #[test]
    fn a_line_without_colours_has_no_escape_sequences_and_keeps_to_the_width() {
        let line = line(&look(), false, Palette::Plain, 24);

        assert_eq!(line, "  node1  ● ○  green, ste");
    }

    #[test]
    fn colours_are_those_that_the_terminal_has() {
        assert_eq!(Palette::of(Some("1"), Some("truecolor"), Some("xterm")), Palette::Plain);
        assert_eq!(Palette::of(Some(""), Some("truecolor"), Some("xterm")), Palette::True);
        assert_eq!(Palette::of(None, None, Some("xterm-256color")), Palette::Cube);
        assert_eq!(Palette::of(None, None, Some("dumb")), Palette::Plain);
        assert_eq!(Palette::Cube.ink(Colour::rgb(255, 0, 0)), "\x1b[38;5;196m");
    }
}
