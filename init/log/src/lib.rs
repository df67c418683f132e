// SPDX-License-Identifier: Apache-2.0
//! The log store: service output, the kernel's ring, journald's native protocol.
//!
//! ```text
//! services ── pipes (from PID 1) ──┐
//! kernel ──── /dev/kmsg ───────────┤            ┌─► writer (thread) ─► segments in memory, then on STATE
//! programs ── journald's socket ───┼─► keeper ──┤
//!             syslog's socket ─────┘  (queue)   └─► readers: org.kubermesh.Log, the command line
//! ```
//!
//! One poll(2) loop takes and tells; one thread waits for the disk, so that a disk that hangs
//! never holds up whoever logs. Everything is bounded, and what finds no room is counted. The
//! worker's own remarks go straight into the queue: it never writes to a pipe or socket that it
//! alone reads. What is deliberately absent: compression, indices, sending the log elsewhere.

pub mod client;
mod entry;
#[cfg(fuzzing)]
pub mod fuzz;
mod ground;
mod intake;
mod keeper;
mod read;
mod store;
mod worker;

pub use entry::{Entry, Priority, Source};
pub use ground::Ground;
pub use intake::SocketError;
pub use read::{Query, ServerError};
pub use store::WriterError;
pub use worker::{LogError, run, run_on};
