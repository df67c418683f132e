// SPDX-License-Identifier: Apache-2.0
//! Takes lines out of terminal output: no escape sequences (ECMA-48), no carriage returns, no broken UTF-8.

/// Bytes in, lines out; keeps the line that has no end yet.
#[derive(Clone, Debug, Default)]
pub struct Plain {
    line: Vec<u8>,
    place: Place,
}

impl Plain {
    /// Takes bytes and gives the lines that they ended.
    pub fn take_in(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for &byte in bytes {
            self.place = match (self.place, byte) {
                (Place::Text, ESCAPE) => Place::Escape,
                (Place::Text, b'\n') => {
                    lines.push(self.unended());
                    self.line.clear();
                    Place::Text
                }
                (Place::Text, _) => {
                    if byte == b'\t' || byte >= b' ' {
                        self.line.push(byte);
                    }
                    Place::Text
                }
                (Place::Escape, b'[') => Place::Control,
                (Place::Escape, b']') => Place::Title,
                (Place::Escape, b'(' | b')') => Place::Escape,
                (Place::Control, byte) if !(0x40..=0x7e).contains(&byte) => Place::Control,
                (Place::Title, byte) if byte != BELL && byte != ESCAPE => Place::Title,
                (Place::Title, ESCAPE) => Place::Escape,
                (Place::Escape | Place::Control | Place::Title, _) => Place::Text,
            };
        }
        lines
    }

    /// What stands on the line that has no end yet.
    pub fn unended(&self) -> String {
        String::from_utf8_lossy(&self.line).trim_end().to_owned()
    }
}

#[derive(Clone, Copy, Debug, Default)]
enum Place {
    #[default]
    Text,
    Escape,
    Control,
    Title,
}

const ESCAPE: u8 = 0x1b;
const BELL: u8 = 0x07;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_titles_and_cursor_moves_are_not_text() {
        let mut plain = Plain::default();

        let lines = plain
            .take_in(b"\x1b[2J\x1b[01;31mred\x1b[0m\r\n\x1b]0;title\x07plain\x1b(B end\r\npart");

        assert_eq!(lines, ["red", "plain end"]);
        assert_eq!(plain.unended(), "part");
    }

    #[test]
    fn a_sequence_may_come_in_pieces() {
        let mut plain = Plain::default();

        assert!(plain.take_in(b"a\x1b").is_empty());
        assert!(plain.take_in(b"[3").is_empty());
        assert_eq!(plain.take_in(b"1mb\n"), ["ab"]);
    }
}
