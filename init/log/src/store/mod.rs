// SPDX-License-Identifier: Apache-2.0
//! Keeps entries: a queue in memory, and behind it, on a thread of its own, the files.
//!
//! ```text
//! entries ─► queue (bounded) ─► writer (a thread: a disk may hang) ─► disk ─► folder ─► segments
//!              └ read by all who follow    └ memory first, then STATE
//! ```

mod disk;
mod folder;
pub(crate) mod line;
mod queue;
pub(crate) mod segment;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use disk::{Ask, Told};
pub(crate) use queue::Queue;
pub(crate) use writer::Writer;
pub use writer::WriterError;
