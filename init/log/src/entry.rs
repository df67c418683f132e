// SPDX-License-Identifier: Apache-2.0
//! One entry of the log.

use std::fmt;

use kubermesh_node::time::Time;
use serde::{Deserialize, Serialize};

/// What somebody said, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Milliseconds since the kernel started.
    pub time: Time,
    /// Milliseconds since 1970, as the clock said then.
    pub wall_ms: u64,
    /// Which boot: random_boot_id(4), 36 characters.
    pub boot: String,
    /// Who: a service's name, `kernel`, or what a journald client calls itself.
    pub name: String,
    /// Its process, where the sender's credentials told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// syslog(3): 0 is the most urgent, 7 the least.
    pub priority: u8,
    /// What was said, at most [`MESSAGE_LIMIT`] bytes.
    pub message: String,
}

/// The longest message in bytes; a longer one is cut, and says so.
pub(crate) const MESSAGE_LIMIT: usize = 16 * 1024;

impl Entry {
    /// An entry of now.
    pub(crate) fn now(name: &str, priority: u8, message: &[u8]) -> Self {
        let clock = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let wall = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        Self {
            time: Time::from_millis(milliseconds(clock)),
            wall_ms: milliseconds(wall),
            boot: String::new(),
            name: name.chars().take(64).collect(),
            pid: None,
            priority: priority.min(7),
            message: bounded(message),
        }
    }
}

fn milliseconds(moment: rustix::time::Timespec) -> u64 {
    let seconds = u64::try_from(moment.tv_sec).unwrap_or(0);
    seconds
        .saturating_mul(1000)
        .saturating_add(u64::try_from(moment.tv_nsec / 1_000_000).unwrap_or(0))
}

fn bounded(message: &[u8]) -> String {
    let kept = message.get(..MESSAGE_LIMIT).unwrap_or(message);
    let mut text = String::from_utf8_lossy(kept).trim_end().to_owned();
    if kept.len() < message.len() {
        text.push_str(" … (cut)");
    }
    text
}

impl fmt::Display for Entry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:>12} {}: {}", self.time.to_string(), self.name, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_is_too_long_is_cut_and_says_so() {
        let entry = Entry::now("x", 9, &[b'a'; 20_000]);
        assert_eq!(entry.message.len(), 16 * 1024 + " … (cut)".len());
        assert_eq!(entry.priority, 7);
    }
}
