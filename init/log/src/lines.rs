// SPDX-License-Identifier: Apache-2.0
//! A service's output as lines: bytes come in pieces, a line may never end.

use crate::entry::MESSAGE_LIMIT;

/// What has come of a line so far.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    /// Takes more; each line that it ends. One longer than [`MESSAGE_LIMIT`] comes in parts.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut ended = Vec::new();
        for byte in bytes {
            if *byte == b'\n' {
                ended.push(std::mem::take(&mut self.begun));
            } else {
                self.begun.push(*byte);
                if self.begun.len() >= MESSAGE_LIMIT {
                    ended.push(std::mem::take(&mut self.begun));
                }
            }
        }
        ended.retain(|line| !line.is_empty());
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_in_pieces_is_one_line_and_an_endless_one_comes_in_parts() {
        let mut lines = Lines::default();
        assert!(lines.take(b"on").is_empty());
        assert_eq!(lines.take(b"e\n\ntwo\nth"), [b"one".to_vec(), b"two".to_vec()]);
        let parts = lines.take(&[b'x'; 40_000]);
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [16_384, 16_384]);
    }
}
