// SPDX-License-Identifier: Apache-2.0
//! journald's native protocol: fields as `KEY=value` and a newline, or as `KEY`, a newline, 64 bits
//! of length (little endian), so many bytes and a newline
//! (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>).
//!
//! Pure: bytes in, an entry out. What is deliberately absent: trusted fields (those that begin
//! with `_`): only the kernel's word for the sender's process is taken.

use std::collections::BTreeMap;

use crate::entry::{Entry, Priority, Source, clean};

/// An entry from a whole datagram; none where there is no field at all to be found in it.
///
/// A field that breaks the rules ends the reading; what came before it is kept.
pub(crate) fn decode(bytes: &[u8]) -> Option<Entry> {
    let mut said = Said::default();
    let mut rest = bytes;
    while let Some((key, value, after)) = next_field(rest) {
        said.take(key, value);
        rest = after;
    }
    said.any.then(|| said.into_entry())
}

/// The next field's key and value, and what follows it; none at the end or at nonsense.
fn next_field(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (line, after) = bytes.split_at_checked(end)?;
    let after = after.strip_prefix(b"\n").unwrap_or(after);
    if line.is_empty() {
        // Empty lines separate entries in the export format; here they mean nothing.
        return if after.is_empty() { None } else { next_nonempty(after) };
    }
    if let Some(equals) = line.iter().position(|byte| *byte == b'=') {
        let (key, value) = line.split_at_checked(equals)?;
        return Some((key, value.strip_prefix(b"=")?, after));
    }
    let (length, after) = after.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (value, after) = after.split_at_checked(length)?;
    Some((line, value, after.strip_prefix(b"\n").unwrap_or(after)))
}

/// Past any number of empty lines, without a frame of the stack for each.
fn next_nonempty(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let start = bytes.iter().position(|byte| *byte != b'\n')?;
    next_field(bytes.get(start..)?)
}

/// What has been read of an entry so far.
#[derive(Default)]
struct Said<'a> {
    any: bool,
    message: &'a [u8],
    identifier: Option<&'a [u8]>,
    priority: Option<Priority>,
    fields: BTreeMap<String, String>,
    room_used: usize,
}

impl<'a> Said<'a> {
    fn take(&mut self, key: &'a [u8], value: &'a [u8]) {
        if !is_field_name(key) {
            return;
        }
        self.any = true;
        match key {
            b"MESSAGE" => self.message = value,
            b"SYSLOG_IDENTIFIER" => self.identifier = Some(value),
            b"PRIORITY" => {
                if let [digit @ b'0'..=b'7'] = value {
                    self.priority = Some(Priority::of_pri(u32::from(*digit)));
                }
            }
            _ => self.keep(key, value),
        }
    }

    /// Further fields are kept while there is room; the first ones say most.
    fn keep(&mut self, key: &[u8], value: &[u8]) {
        let left = FIELDS_ROOM.saturating_sub(self.room_used);
        if self.fields.len() >= FIELDS_LIMIT || key.len() >= left {
            return;
        }
        let (key, _) = clean(key, left);
        let (value, _) = clean(value, left.saturating_sub(key.len()));
        self.room_used = self.room_used.saturating_add(key.len()).saturating_add(value.len());
        self.fields.insert(key, value);
    }

    fn into_entry(self) -> Entry {
        let priority = self.priority.unwrap_or(Priority::INFO);
        let service = String::from_utf8_lossy(self.identifier.unwrap_or_default());
        let mut entry = Entry::said(Source::Journal, &service, priority, self.message);
        entry.fields = self.fields;
        entry
    }
}

/// journald's rule: capital letters, digits and `_`, at most 64, no digit first; one that
/// begins with `_` is not for a client to say.
fn is_field_name(key: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_';
    key.len() <= 64 && key.first().is_some_and(u8::is_ascii_uppercase) && key.iter().all(allowed)
}

/// Of all further fields together, in bytes: doubled by JSON beside a message a frame holds it.
const FIELDS_ROOM: usize = 8 * 1024;
/// More fields than any well-known program sends.
const FIELDS_LIMIT: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_forms_of_a_field_are_read() {
        let mut bytes = b"PRIORITY=3\nSYSLOG_IDENTIFIER=net\nMESSAGE\n".to_vec();
        bytes.extend([9, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend(b"two\nlines\nTARGET=a=b\n_PID=1\nlower=x\n");
        let entry = decode(&bytes).unwrap();
        assert_eq!(entry.message, "two\nlines");
        assert_eq!((entry.service.as_str(), entry.priority.number()), ("net", 3));
        assert_eq!(entry.fields, BTreeMap::from([("TARGET".to_owned(), "a=b".to_owned())]));
    }

    #[test]
    fn a_length_beyond_the_datagram_keeps_what_came_before_it() {
        for length in [[0xff_u8; 8], [5, 0, 0, 0, 0, 0, 0, 0x80], [6, 0, 0, 0, 0, 0, 0, 0]] {
            let mut bytes = b"MESSAGE=kept\nDATA\n".to_vec();
            bytes.extend(length);
            bytes.extend(b"short");
            let entry = decode(&bytes).unwrap();
            assert_eq!((entry.message.as_str(), entry.fields.len()), ("kept", 0));
        }
    }

    #[test]
    fn what_holds_no_field_is_no_entry_and_a_missing_last_newline_is_forgiven() {
        for nothing in
            [&b""[..], b"\n\n\n", b"=x\n", b"no field", b"KEY\n1234567", b"_ONLY=trusted\n"]
        {
            assert_eq!(decode(nothing), None, "{nothing:?}");
        }
        assert_eq!(decode(b"MESSAGE=x").unwrap().message, "x");
        assert_eq!(
            decode(&[b"\n".repeat(200_000), b"MESSAGE=y".to_vec()].concat()).unwrap().message,
            "y"
        );
    }

    #[test]
    fn a_huge_binary_entry_is_cut_and_says_so() {
        let mut bytes = b"MESSAGE\n".to_vec();
        bytes.extend(100_000_u64.to_le_bytes());
        bytes.extend([b'm'; 100_000]);
        bytes.push(b'\n');
        for number in 0..100 {
            bytes.extend(format!("FIELD_{number}={}\n", "\u{1}".repeat(900)).bytes());
        }
        let entry = decode(&bytes).unwrap();
        assert_eq!((entry.message.len(), entry.left_out), (16_384, 83_616));
        let kept: usize = entry.fields.iter().map(|(key, value)| key.len() + value.len()).sum();
        assert!(kept <= 8192, "{kept} bytes of fields");
        assert!(serde_json::to_vec(&entry).unwrap().len() < 60_000);
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_without_a_panic(bytes: Vec<u8>) {
            let _ = decode(&bytes);
        }

        #[test]
        fn anything_that_looks_like_fields_stays_within_its_bounds(
            text in "([A-Z_]{0,4}[=\n]{0,2}[\\x00-\\x08]{0,9}\n?){0,40}",
        ) {
            if let Some(entry) = decode(text.as_bytes()) {
                prop_assert!(serde_json::to_vec(&entry).unwrap().len() < 60_000);
            }
        }
    }
}
