// SPDX-License-Identifier: Apache-2.0
//! journald's native protocol (systemd's JOURNAL_NATIVE_PROTOCOL): a datagram of fields.
//!
//! `KEY=value` and a newline; or `KEY`, a newline, the length as 64 bits little-endian, that many
//! bytes and a newline. A message that does not fit a datagram comes as a memfd.

use std::collections::BTreeMap;

/// The fields that are kept; the others are read and left.
const KEPT: [&str; 3] = ["MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER"];

/// What a client said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) name: Option<String>,
    pub(crate) priority: u8,
    pub(crate) message: Vec<u8>,
}

/// Understands a datagram; none where it holds no message.
pub(crate) fn decode(mut rest: &[u8]) -> Option<Said> {
    let mut fields: BTreeMap<&str, &[u8]> = BTreeMap::new();
    while let Some((key, value, after)) = field(rest) {
        if let Some(kept) = KEPT.iter().find(|kept| kept.as_bytes() == key) {
            fields.insert(kept, value);
        }
        rest = after;
    }
    let text = |key| fields.get(key).and_then(|value| std::str::from_utf8(value).ok());
    Some(Said {
        name: text("SYSLOG_IDENTIFIER").map(str::to_owned),
        priority: text("PRIORITY").and_then(|digit| digit.parse().ok()).unwrap_or(6),
        message: fields.get("MESSAGE")?.to_vec(),
    })
}

/// The next field and what follows it; none at the end, or where the rest is no field.
fn field(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (line, after) = (bytes.get(..end)?, bytes.get(end.checked_add(1)?..)?);
    if let Some(equals) = line.iter().position(|byte| *byte == b'=') {
        return Some((line.get(..equals)?, line.get(equals.checked_add(1)?..)?, after));
    }
    let (length, data) = after.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let value = data.get(..length)?;
    Some((line, value, data.get(length.checked_add(1)?..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_forms_of_a_field_are_understood() {
        let mut bytes = b"PRIORITY=3\nSYSLOG_IDENTIFIER=net\nCODE_LINE=7\nMESSAGE\n".to_vec();
        bytes.extend_from_slice(&[7, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend_from_slice(b"two\nare\n");
        let said = decode(&bytes).unwrap();
        assert_eq!((said.name.as_deref(), said.priority), (Some("net"), 3));
        assert_eq!(said.message, b"two\nare");
    }

    #[test]
    fn a_length_beyond_the_datagram_is_no_message() {
        let mut bytes = b"MESSAGE\n".to_vec();
        bytes.extend_from_slice(&[0xff; 8]);
        bytes.extend_from_slice(b"short\n");
        assert_eq!(decode(&bytes), None);
        assert_eq!(decode(b""), None);
        assert_eq!(decode(b"MESSAGE=no newline"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_decoder(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(&bytes);
        }
    }
}
