// SPDX-License-Identifier: Apache-2.0
//! What syslog(3) and logger(1) send to `/dev/log` (a link to our socket): `<PRI>Mmm dd hh:mm:ss tag[pid]: words`,
//! RFC 3164 as it is found in the wild, each part but the words optional.
//!
//! Pure: bytes in, an entry out. The sender's time is passed over: it has no year and no zone.

use crate::entry::{Entry, NAME_LIMIT, Priority, Source};

/// Any datagram is an entry, in the worst case one of words alone.
pub(crate) fn decode(bytes: &[u8]) -> Entry {
    let bytes = bytes.trim_ascii_end().strip_suffix(b"\0").unwrap_or(bytes.trim_ascii_end());
    let (priority, rest) = split_priority(bytes).unwrap_or((Priority::INFO, bytes));
    let (tag, words) = split_tag(skip_time(rest)).unwrap_or((Tag::default(), skip_time(rest)));
    let name = String::from_utf8_lossy(tag.name);
    let mut entry = Entry::said(Source::Syslog, &name, priority, words);
    entry.pid = tag.pid;
    entry
}

/// Who speaks, as he says it himself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tag<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) pid: Option<u32>,
}

/// `<3>words`: sd-daemon(3) and the kernel use the same form. At most three digits.
pub(crate) fn split_priority(bytes: &[u8]) -> Option<(Priority, &[u8])> {
    let inner = bytes.strip_prefix(b"<")?;
    let end = inner.iter().take(4).position(|byte| *byte == b'>')?;
    let (digits, rest) = inner.split_at_checked(end)?;
    Some((Priority::of_pri(number(digits)?), rest.strip_prefix(b">")?))
}

/// `tag[pid]: words` or `tag: words`.
pub(crate) fn split_tag(bytes: &[u8]) -> Option<(Tag<'_>, &[u8])> {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./@".contains(byte);
    let end = bytes.iter().take(NAME_LIMIT).position(|byte| !is_name(byte))?;
    let (name, rest) = bytes.split_at_checked(end)?;
    if name.is_empty() {
        return None;
    }
    let (pid, rest) = match rest.strip_prefix(b"[") {
        Some(inner) => {
            let end = inner.iter().take(11).position(|byte| *byte == b']')?;
            let (digits, rest) = inner.split_at_checked(end)?;
            (Some(number(digits)?), rest.strip_prefix(b"]")?)
        }
        None => (None, rest),
    };
    let words = rest.strip_prefix(b":")?;
    Some((Tag { name, pid }, words.strip_prefix(b" ").unwrap_or(words)))
}

/// Past `Nov 24 04:16:36 ` where it stands there.
fn skip_time(bytes: &[u8]) -> &[u8] {
    let shape = |(index, byte): (usize, &u8)| match index {
        0..=2 => byte.is_ascii_alphabetic(),
        3 | 6 | 15 => *byte == b' ',
        9 | 12 => *byte == b':',
        4 => *byte == b' ' || byte.is_ascii_digit(),
        _ => byte.is_ascii_digit(),
    };
    match bytes.split_at_checked(16) {
        Some((time, rest)) if time.iter().enumerate().all(shape) => rest,
        Some(_) | None => bytes,
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(digits).ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_words_of_a_syslog_datagram_lose_what_stands_before_them() {
        let cases: [(&[u8], &str); 6] = [
            (b"<27>Nov 24 04:16:36 bird[71]: up\n", "3 bird Some(71) up"),
            (b"<13>Nov  4 04:16:36 root: a: b", "5 root None a: b"),
            (b"<30>bird: up\0", "6 bird None up"),
            (b"only words, no tag", "6  None only words, no tag"),
            (b"<999999>x", "6  None <999999>x"),
            (b"<4>a[12345678901]: x", "4  None a[12345678901]: x"),
        ];
        for (bytes, wanted) in cases {
            let Entry { priority, service, pid, message, .. } = decode(bytes);
            assert_eq!(format!("{} {service} {pid:?} {message}", priority.number()), wanted);
        }
    }

    proptest! {
        #[test]
        fn any_datagram_is_an_entry(bytes: Vec<u8>) {
            let entry = decode(&bytes);
            prop_assert!(entry.message.len() <= 16_384);
        }
    }
}
