// SPDX-License-Identifier: Apache-2.0
//! Words that others wrote, cut to what a person reads.
//!
//! The error of a parser holds the line that it did not like, and that may be a megabyte. A fault's
//! sentence goes into each status, message, answer and record: none of them may grow with it.

/// On one line and not longer than a sentence of [`LONGEST`] bytes; what is cut ends in `…`.
#[must_use]
pub fn brief(text: &str) -> String {
    brief_to(LONGEST, text)
}

/// As [`brief`], with a bound of its own.
#[must_use]
pub fn brief_to(longest: usize, text: &str) -> String {
    let mut cut = String::with_capacity(text.len().min(longest));
    for character in text.chars() {
        if cut.len().saturating_add(character.len_utf8()) > longest {
            cut.push('…');
            break;
        }
        cut.push(if character.is_control() { ' ' } else { character });
    }
    cut
}

/// A screen shows 240 characters of a sentence; this leaves room for who asks by program.
pub const LONGEST: usize = 600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters_and_a_short_one_stays() {
        assert_eq!(brief("half speed, 100 Mbit/s"), "half speed, 100 Mbit/s");
        assert_eq!(brief_to(4, "aéé\n"), "aé…");
        assert_eq!(brief_to(4, &brief_to(4, "abcdef")), "abcd…");
        assert_eq!(brief("a\u{1b}[2J\nb"), "a [2J b");
        assert_eq!(brief(&"x".repeat(100_000)).len(), 603);
    }
}
