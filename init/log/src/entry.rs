// SPDX-License-Identifier: Apache-2.0
//! One entry of the log, and what keeps it small and safe to print.

use std::collections::BTreeMap;
use std::fmt;

use kubermesh_node::time::Time;
use serde::{Deserialize, Serialize};

/// What somebody said, when, and how urgent it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Rises with each entry of a boot: microseconds since the kernel started, made unique.
    pub number: u64,
    /// When it was said; it came out of the kernel's ring later than that.
    pub time: Time,
    /// The same moment on the wall's clock: milliseconds since 1970, as this node knew it.
    pub wall: u64,
    /// The boot's id, 32 hex digits. Empty in a file: there the segment's first line says it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub boot: String,
    /// How it came here.
    pub source: Source,
    /// The service, or what the program calls itself.
    pub service: String,
    /// The process, where the kernel or the sender told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// How urgent.
    pub priority: Priority,
    /// What was said, cleaned of control characters.
    pub message: String,
    /// Its number in the kernel's ring.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// The line was longer: its next part is this service's next entry.
    #[serde(default, skip_serializing_if = "is_false")]
    pub continues: bool,
    /// So many bytes at the end of the message were too many, and are gone.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u64,
    /// What else a journald client said, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
}

/// How an entry came here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A line of a service's standard output or error.
    Output,
    /// The kernel's ring, which PID 1 writes to as well.
    Kernel,
    /// journald's native protocol.
    Journal,
    /// A syslog datagram.
    Syslog,
    /// The log worker's own remark.
    Log,
}

/// How urgent an entry is, syslog(3): 0 emergency to 7 debug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Priority(u8);

impl Priority {
    /// LOG_ERR: from here on up (to lower numbers) an entry is brought to the disk at once.
    pub const ERROR: Self = Self(3);
    /// LOG_WARNING.
    pub const WARNING: Self = Self(4);
    /// LOG_INFO: who says nothing about it means this.
    pub const INFO: Self = Self(6);

    /// The lowest three bits of a syslog PRI, RFC 3164 4.1.1; the others are the facility.
    #[must_use]
    pub const fn of_pri(pri: u32) -> Self {
        Self((pri & 7).to_le_bytes()[0])
    }

    /// 0 to 7.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

impl Entry {
    /// An entry with neither number nor time: the worker stamps it when it is taken.
    #[must_use]
    pub fn said(source: Source, service: &str, priority: Priority, message: &[u8]) -> Self {
        let (message, left_out) = clean(message, MESSAGE_LIMIT);
        Self {
            number: 0,
            time: Time::default(),
            wall: 0,
            boot: String::new(),
            source,
            service: clean(service.as_bytes(), NAME_LIMIT).0,
            pid: None,
            priority,
            message,
            sequence: None,
            continues: false,
            left_out,
            fields: BTreeMap::new(),
        }
    }
}

impl fmt::Display for Entry {
    /// `12.345s kubelet: started`, on one line.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}: {}", self.time, self.service, self.message.replace('\n', " | "))?;
        if self.continues {
            out.write_str(" …")?;
        }
        if self.left_out > 0 {
            write!(out, " … ({} bytes left out)", self.left_out)?;
        }
        Ok(())
    }
}

/// Text of at most `limit` bytes, and how many bytes of `bytes` found no room.
///
/// Control characters become their pictures (U+2400 and on): a terminal obeys no log. So at most
/// every byte of the text grows to two in JSON, and an entry always fits a Varlink frame.
pub(crate) fn clean(bytes: &[u8], limit: usize) -> (String, u64) {
    let mut text = String::with_capacity(bytes.len().min(limit));
    let mut taken = 0_usize;
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            let shown = picture(character);
            if text.len().saturating_add(shown.len_utf8()) > limit {
                return (text, left(bytes, taken));
            }
            text.push(shown);
            taken = taken.saturating_add(character.len_utf8());
        }
        if !chunk.invalid().is_empty() {
            if text.len().saturating_add(char::REPLACEMENT_CHARACTER.len_utf8()) > limit {
                return (text, left(bytes, taken));
            }
            text.push(char::REPLACEMENT_CHARACTER);
            taken = taken.saturating_add(chunk.invalid().len());
        }
    }
    (text, left(bytes, taken))
}

fn left(bytes: &[u8], taken: usize) -> u64 {
    u64::try_from(bytes.len().saturating_sub(taken)).unwrap_or(u64::MAX)
}

fn picture(character: char) -> char {
    match character {
        '\n' | '\t' => character,
        '\0'..='\x1f' => {
            char::from_u32(u32::from(character).saturating_add(0x2400)).unwrap_or(character)
        }
        '\x7f' => '\u{2421}',
        // C1: some terminals take U+009B for the beginning of a command.
        '\u{80}'..='\u{9f}' => char::REPLACEMENT_CHARACTER,
        other => other,
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Four of these, doubled by JSON, fill a Varlink frame; a longer message is seldom read.
pub(crate) const MESSAGE_LIMIT: usize = 16 * 1024;
/// syslog's own bound for a tag is 32; names of containers are longer.
pub(crate) const NAME_LIMIT: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown_and_not_sent() {
        let (text, left_out) = clean(b"\x1b[31mred\x07\x00 \xff\xc3\xa9\tok\n", 100);
        assert_eq!(text, "\u{241b}[31mred\u{2407}\u{2400} \u{fffd}\u{e9}\tok\n");
        assert_eq!(left_out, 0);
        assert_eq!(clean("\u{9b}2J".as_bytes(), 100).0, "\u{fffd}2J");
    }

    #[test]
    fn a_message_is_cut_between_characters_and_says_what_is_gone() {
        let (text, left_out) = clean("aé€x".as_bytes(), 5);
        assert_eq!((text.as_str(), left_out), ("aé", 4));
        assert_eq!(clean(&[0xff; 10], 7), ("\u{fffd}\u{fffd}".to_owned(), 8));
    }

    #[test]
    fn an_entry_is_one_line_for_a_person() {
        let mut entry = Entry::said(Source::Output, "kubelet", Priority::INFO, b"up\nand on");
        entry.time = Time::from_millis(12_345);
        assert_eq!(entry.to_string(), "12.345s kubelet: up | and on");
        entry.left_out = 7;
        assert_eq!(entry.to_string(), "12.345s kubelet: up | and on … (7 bytes left out)");
    }
}
