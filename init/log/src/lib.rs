// SPDX-License-Identifier: Apache-2.0
//! The log store: service output, the kernel's ring, journald's native protocol.
//!
//! ```text
//! pipes of the services ─┐
//! /dev/kmsg ─────────────┼─► Entry ─► store (segments on STATE, else in memory) ─► serve ─► readers
//! journald's socket ─────┘
//! ```
//!
//! One poll loop. Nobody who logs ever waits for this worker: what cannot be kept is counted. What
//! is deliberately absent: an index (a bounded store is read through), journald's stream socket
//! (nothing of ours uses it), forwarding.

pub mod client;
mod entry;
mod journal;
mod kernel;
mod lines;
mod serve;
mod store;
mod worker;

pub use entry::Entry;
pub use worker::{LogError, run};

/// Where readers ask: the Varlink interface `org.kubermesh.Log`.
pub const SOCKET: &str = "/run/kubermesh/log";
