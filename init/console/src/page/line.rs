// SPDX-License-Identifier: Apache-2.0
//! What each line of a page is made of: clean text, time gone by, colour where a person wants it.

use kubermesh_node::time::Span;

/// Whether words may be coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// No escape codes at all.
    Plain,
    /// SGR colours (ECMA-48 8.3.117), for a terminal that a person looks at.
    Colour,
}

impl Paint {
    /// A status word, a service's state, in the colour that says how good it is.
    #[must_use]
    pub fn word(self, word: &str) -> String {
        let word = &clean(word);
        let code = match (self, word.as_str()) {
            (Self::Plain, _) => return word.clone(),
            (Self::Colour, "ready" | "running" | "done" | "yes") => 32,
            (Self::Colour, "failed" | "resting" | "no") => 31,
            (Self::Colour, _) => 33,
        };
        format!("\x1b[{code}m{word}\x1b[0m")
    }
}

/// Text that others wrote, fit for a terminal: control characters, which could move the cursor or
/// retitle a window, are shown as `·`, and it is cut where nobody reads on.
#[must_use]
pub fn clean(text: &str) -> String {
    let mut line: String = printable(text).chars().take(LONGEST).collect();
    if text.chars().nth(LONGEST).is_some() {
        line.push('…');
    }
    line
}

/// As [`clean`], in its whole length.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '·' } else { c }).collect()
}

/// A length of time as a person says it: its two largest units.
#[must_use]
pub fn lasting(span: Span) -> String {
    let seconds = span.as_millis() / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}min {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {}min", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

/// Characters of a sentence that are shown: three lines of a narrow terminal.
const LONGEST: usize = 240;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_gone_by_is_told_in_its_two_largest_units() {
        for (milliseconds, words) in [
            (999, "0s"),
            (59_999, "59s"),
            (125_000, "2min 5s"),
            (3_780_000, "1h 3min"),
            (180_000_000, "2d 2h"),
        ] {
            assert_eq!(lasting(Span::from_millis(milliseconds)), words);
        }
    }

    #[test]
    fn foreign_text_can_neither_move_the_cursor_nor_fill_the_screen() {
        assert_eq!(clean("a\x1b[2Jb\nc\u{9b}d"), "a·[2Jb·c·d");
        let long = clean(&"ä".repeat(1000));
        assert_eq!((long.chars().count(), long.ends_with('…')), (241, true));
    }

    #[test]
    fn without_colour_there_is_no_escape_code() {
        assert_eq!(Paint::Plain.word("failed"), "failed");
        assert_eq!(Paint::Colour.word("failed"), "\x1b[31mfailed\x1b[0m");
        assert_eq!(Paint::Plain.word("\x1b[2J"), "·[2J");
    }
}
