// SPDX-License-Identifier: Apache-2.0
//! Takes what is said: service output, the kernel's ring, journald's and syslog's datagrams.
//!
//! Each source gives a little a step and a bounded number of steps a turn, so that a loud one waits for the others. What is
//! deliberately absent: journald's stream socket `/run/systemd/journal/stdout`. systemd's own
//! units write there; on this node PID 1 gives each service a pipe.

mod datagrams;
mod kernel;
pub(crate) mod lines;
pub(crate) mod native;
mod outputs;
pub(crate) mod record;
pub(crate) mod syslog;

pub use datagrams::SocketError;
pub(crate) use datagrams::{Datagrams, Language};
pub(crate) use kernel::Kernel;
pub(crate) use outputs::Outputs;

use crate::entry::Entry;

/// What a source gave in one step.
#[derive(Debug, Default)]
pub(crate) struct Slice {
    /// In the order in which it was said.
    pub(crate) entries: Vec<Entry>,
    /// Entries that are lost.
    pub(crate) dropped: u64,
}
