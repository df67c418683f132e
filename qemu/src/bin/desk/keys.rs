// SPDX-License-Identifier: Apache-2.0
//! Keys: everything goes to the node that is shown, but for Ctrl-C and what follows Ctrl-A.

/// What a person wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Bytes for the node, one at a time.
    Type(u8),
    /// Ends the desk.
    Quit,
    /// Shows the keys, or hides them.
    Help,
    /// Shows another node, counted from 0.
    Show(usize),
    /// Shows the next node.
    Next,
    /// The cable to the next node.
    CableAfter,
    /// The cable to the node before.
    CableBefore,
    /// The node's blink(1).
    Light,
    /// The power button.
    PowerButton,
    /// The power itself.
    Power,
    /// Ctrl-Alt-Del.
    CtrlAltDel,
    /// The reset button.
    Reset,
    /// Back to older output.
    Older,
    /// Forward to newer output.
    Newer,
}

/// Turns bytes of the keyboard into wishes.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    prefixed: bool,
}

impl Keys {
    /// Takes what was pressed.
    pub(crate) fn take_in(&mut self, bytes: &[u8]) -> Vec<Wish> {
        bytes.iter().filter_map(|&byte| self.one(byte)).collect()
    }

    /// Whether Ctrl-A was pressed and nothing after it.
    pub(crate) fn is_prefixed(&self) -> bool {
        self.prefixed
    }

    fn one(&mut self, byte: u8) -> Option<Wish> {
        if !std::mem::take(&mut self.prefixed) {
            self.prefixed = byte == CTRL_A;
            return match byte {
                CTRL_A => None,
                CTRL_C => Some(Wish::Quit),
                byte => Some(Wish::Type(byte)),
            };
        }
        Some(match byte {
            CTRL_A | CTRL_C => Wish::Type(byte),
            b'1'..=b'9' => Wish::Show(usize::from(byte - b'1')),
            b'n' => Wish::Next,
            b'c' => Wish::CableAfter,
            b'C' => Wish::CableBefore,
            b'l' => Wish::Light,
            b'p' => Wish::PowerButton,
            b'o' => Wish::Power,
            b'd' => Wish::CtrlAltDel,
            b'r' => Wish::Reset,
            b'[' => Wish::Older,
            b']' => Wish::Newer,
            b'q' => Wish::Quit,
            // Also every key that means nothing: whoever presses one looks for help.
            _ => Wish::Help,
        })
    }
}

/// What `?` shows.
pub(crate) const HELP: [&str; 14] = [
    "Ctrl-A, then:",
    "  1 to 9   show this node         n   the next node",
    "  c        pull or put back the cable to the next node",
    "  C        the one to the node before",
    "  l        pull out or plug in the blink(1)",
    "  p        power button (switches on a node that is off)",
    "  o        cut or restore the power",
    "  d        Ctrl-Alt-Del",
    "  r        reset button",
    "  [ and ]  older and newer output",
    "  q        end the desk, as Ctrl-C alone does",
    "  Ctrl-A   sends Ctrl-A to the node",
    "  Ctrl-C   sends Ctrl-C to the node",
    "Any key goes on.",
];

const CTRL_A: u8 = 1;
const CTRL_C: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_to_the_node_but_for_what_follows_the_prefix() {
        let mut keys = Keys::default();

        assert_eq!(keys.take_in(b"a\x01c"), [Wish::Type(b'a'), Wish::CableAfter]);
        assert_eq!(keys.take_in(b"\x012\x01?c"), [Wish::Show(1), Wish::Help, Wish::Type(b'c')]);
        assert_eq!(keys.take_in(b"\x01"), []);
        assert!(keys.is_prefixed());
        assert_eq!(keys.take_in(b"q"), [Wish::Quit]);
    }

    #[test]
    fn ctrl_c_ends_the_desk_and_reaches_the_node_only_behind_the_prefix() {
        let mut keys = Keys::default();

        assert_eq!(keys.take_in(b"\x03"), [Wish::Quit]);
        assert_eq!(keys.take_in(b"\x01\x03\x01\x01"), [Wish::Type(3), Wish::Type(1)]);
    }

    #[test]
    fn every_hot_key_is_in_the_help() {
        let mut keys = Keys::default();
        for key in (b'!'..=b'~').filter(|key| !(b'2'..=b'9').contains(key)) {
            let wish = keys.take_in(&[1, key])[0];
            let told = HELP
                .iter()
                .any(|line| line.split_whitespace().any(|word| word.as_bytes() == [key]));
            assert!(wish == Wish::Help || told, "{} is not in the help", char::from(key));
        }
    }
}
