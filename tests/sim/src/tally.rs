// SPDX-License-Identifier: Apache-2.0
//! How often each kind of misfortune hit a machine: a storm in which one kind is missing tries less than it says.

use std::fmt;

use crate::Errno;

/// The counts of one machine, or of many.
#[derive(Debug, Default)]
pub struct Tally {
    /// Calls that were refused, in the order of [`ERRNOS`].
    refused: [u64; ERRNOS.len()],
    /// Processes that got into D state.
    pub(crate) stuck: u64,
    /// Jumps of the clock.
    pub(crate) jumps: u64,
    /// A SIGCHLD that came while the one before was not taken yet.
    pub(crate) merged: u64,
    /// Processes that got a number that was another's before.
    pub(crate) reused: u64,
}

impl Tally {
    /// # Panics
    /// The errno is missing in the table below.
    pub(crate) fn refuses(&mut self, errno: Errno) {
        let place = ERRNOS.iter().position(|(known, _)| *known == errno);
        self.refused[place.expect("each errno that is refused with is counted")] += 1;
    }

    pub fn add(&mut self, other: &Self) {
        for (sum, more) in self.refused.iter_mut().zip(other.refused) {
            *sum += more;
        }
        self.stuck += other.stuck;
        self.jumps += other.jumps;
        self.merged += other.merged;
        self.reused += other.reused;
    }

    /// The kinds that never came, but for the one that a million steps may miss.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let never = self.kinds().filter(|(kind, count)| *count == 0 && *kind != SELDOM);
        never.map(|(kind, _)| kind).collect()
    }

    fn kinds(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let refused = ERRNOS.iter().zip(self.refused).map(|((_, name), count)| (*name, count));
        refused.chain([
            ("processes stuck", self.stuck),
            ("jumps of the clock", self.jumps),
            ("SIGCHLD merged", self.merged),
            ("numbers used again", self.reused),
        ])
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: Vec<String> =
            self.kinds().map(|(kind, count)| format!("{count} {kind}")).collect();
        write!(out, "{}", kinds.join(", "))
    }
}

/// Of execve(2) alone, by which another program takes PID 1's place.
const SELDOM: &str = "ETXTBSY";

/// What the simulated kernel refuses calls with.
const ERRNOS: [(Errno, &str); 10] = [
    (Errno::AGAIN, "EAGAIN"),
    (Errno::BUSY, "EBUSY"),
    (Errno::INTR, "EINTR"),
    (Errno::MFILE, "EMFILE"),
    (Errno::NFILE, "ENFILE"),
    (Errno::NOBUFS, "ENOBUFS"),
    (Errno::NOMEM, "ENOMEM"),
    (Errno::NOSPC, "ENOSPC"),
    (Errno::PERM, "EPERM"),
    (Errno::TXTBSY, "ETXTBSY"),
];
