// SPDX-License-Identifier: Apache-2.0
//! One record of `/dev/kmsg`: `6,339,5140900,-;words`, then lines ` KEY=value`
//! (Documentation/ABI/testing/dev-kmsg). Pure.

use kubermesh_node::time::Time;

use super::syslog::split_tag;
use crate::entry::{Entry, Priority, Source};

/// An entry from one read of `/dev/kmsg`; none where the kernel speaks another language.
pub(crate) fn decode(bytes: &[u8]) -> Option<Entry> {
    let semicolon = bytes.iter().position(|byte| *byte == b';')?;
    let (head, rest) = bytes.split_at_checked(semicolon)?;
    let mut numbers = std::str::from_utf8(head).ok()?.split(',');
    let pri: u32 = numbers.next()?.parse().ok()?;
    let sequence: u64 = numbers.next()?.parse().ok()?;
    let microseconds: u64 = numbers.next()?.parse().ok()?;
    let words = rest.strip_prefix(b";")?.split(|byte| *byte == b'\n').next()?;
    let words = unescape(words);
    // Facility 0 is the kernel itself; whoever else writes there says who he is.
    let tagged = if pri >> 3 == 0 { None } else { split_tag(&words) };
    let (name, words) = match &tagged {
        Some((tag, words)) => (String::from_utf8_lossy(tag.name), *words),
        None => ("kernel".into(), words.as_slice()),
    };
    let mut entry = Entry::said(Source::Kernel, &name, Priority::of_pri(pri), words);
    entry.pid = tagged.and_then(|(tag, _)| tag.pid);
    entry.sequence = Some(sequence);
    entry.time = Time::from_millis(microseconds.checked_div(1000)?);
    Some(entry)
}

/// The kernel writes each byte that is not printable ASCII, and the backslash, as `\x1b`.
fn unescape(words: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(words.len());
    let mut rest = words;
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.strip_prefix(b"x").and_then(|hex| hex.split_first_chunk::<2>());
        let byte = escaped.and_then(|(hex, after)| {
            let hex = std::str::from_utf8(hex).ok()?;
            Some((u8::from_str_radix(hex, 16).ok()?, after))
        });
        match byte {
            Some((byte, after)) if *first == b'\\' => {
                plain.push(byte);
                rest = after;
            }
            Some(_) | None => {
                plain.push(*first);
                rest = after;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_kernel_and_those_who_write_to_its_log_are_told_apart() {
        let kernel =
            decode(b"4,339,5140900,-;usb 1-1: gone\n SUBSYSTEM=usb\n DEVICE=c189:3\n").unwrap();
        assert_eq!((kernel.service.as_str(), kernel.message.as_str()), ("kernel", "usb 1-1: gone"));
        assert_eq!(
            (kernel.sequence, kernel.time.as_millis(), kernel.priority.number()),
            (Some(339), 5140, 4)
        );
        let init =
            decode(b"30,7,1000,-;kubermesh: status=ready \\xe2\\x9c\\x93 \\x5cx41\n").unwrap();
        assert_eq!(
            (init.service.as_str(), init.message.as_str()),
            ("kubermesh", "status=ready ✓ \\x41")
        );
        assert_eq!(init.priority.number(), 6);
    }

    #[test]
    fn what_is_no_record_is_none() {
        for bytes in [&b""[..], b";", b"6,x,1,-;words", b"6,1;words", b"no semicolon"] {
            assert_eq!(decode(bytes), None, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_record_makes_it_panic(bytes: Vec<u8>, words in "[0-9,;\\\\x]{0,40}") {
            let _ = decode(&bytes);
            let _ = decode(words.as_bytes());
        }
    }
}
