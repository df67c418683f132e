// SPDX-License-Identifier: Apache-2.0
//! Cuts what a pipe gives into lines. Pure: bytes in, lines out; the rest waits for its end.

use crate::entry::MESSAGE_LIMIT;

/// The beginning of a line whose end has not come.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    begun: Vec<u8>,
}

/// A line, or a part of one that is too long.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) bytes: &'a [u8],
    /// Another part of it follows.
    pub(crate) continues: bool,
}

impl Lines {
    /// Gives each line that ends in `bytes`, and parts of those that are too long, to `take`.
    pub(crate) fn feed(&mut self, bytes: &[u8], mut take: impl FnMut(Line<'_>)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(piece);
            let ended = self.begun.last() == Some(&b'\n');
            if ended {
                self.begun.pop();
            }
            while self.begun.len() > MESSAGE_LIMIT {
                let cut = between_characters(&self.begun);
                let part = self.begun.get(..cut).unwrap_or_default();
                take(Line { bytes: part, continues: true });
                self.begun.drain(..cut);
            }
            if ended {
                let line = self.begun.strip_suffix(b"\r").unwrap_or(&self.begun);
                take(Line { bytes: line, continues: false });
                self.begun.clear();
            }
        }
        if self.begun.is_empty() {
            // A service that was loud once does not keep its buffer for ever.
            self.begun.shrink_to(KEPT);
        }
    }

    /// The line that never ended: whoever wrote it is gone, or we are about to be.
    pub(crate) fn finish(&mut self) -> Option<Vec<u8>> {
        let begun = std::mem::take(&mut self.begun);
        (!begun.is_empty()).then_some(begun)
    }
}

/// A place to cut at or a little before the limit that is not within a character of UTF-8.
fn between_characters(bytes: &[u8]) -> usize {
    let is_start = |at: &usize| bytes.get(*at).is_some_and(|byte| byte & 0xc0 != 0x80);
    let candidates = (MESSAGE_LIMIT.saturating_sub(3)..=MESSAGE_LIMIT).rev();
    candidates.into_iter().find(is_start).unwrap_or(MESSAGE_LIMIT)
}

/// Bytes of buffer that a quiet pipe keeps.
const KEPT: usize = 256;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines_of(pieces: &[&[u8]]) -> Vec<(Vec<u8>, bool)> {
        let (mut lines, mut got) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.feed(piece, |line| got.push((line.bytes.to_vec(), line.continues)));
        }
        got.extend(lines.finish().map(|line| (line, false)));
        got
    }

    #[test]
    fn lines_come_whole_however_the_pipe_cuts_them() {
        let got = lines_of(&[b"on", b"e\r\ntwo\n\nthr", b"ee"]);
        let texts: Vec<&[u8]> = got.iter().map(|(line, _)| line.as_slice()).collect();
        assert_eq!(texts, [&b"one"[..], b"two", b"", b"three"]);
    }

    #[test]
    fn a_line_of_sixteen_kib_is_whole_and_a_longer_one_is_marked_and_cut_between_characters() {
        let exact = [vec![b'a'; 16_384], b"\n".to_vec()].concat();
        assert_eq!(lines_of(&[&exact]), [(vec![b'a'; 16_384], false)]);
        let long = [vec![b'a'; 16_383], "é\n".as_bytes().to_vec()].concat();
        let got = lines_of(&[&long]);
        assert_eq!(got, [(vec![b'a'; 16_383], true), ("é".as_bytes().to_vec(), false)]);
    }

    proptest! {
        #[test]
        fn no_byte_is_lost_or_made_up(pieces: Vec<Vec<u8>>) {
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let whole: Vec<u8> = pieces.concat().into_iter().filter(|byte| *byte != b'\r').collect();
            let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.iter().copied().filter(|byte| *byte != b'\r').collect()).collect();
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let mut again: Vec<u8> = Vec::new();
            for (line, _) in lines_of(&pieces) {
                again.extend(line);
                again.push(b'\n');
            }
            if !whole.ends_with(b"\n") { again.pop(); }
            prop_assert_eq!(again, whole);
        }
    }
}
