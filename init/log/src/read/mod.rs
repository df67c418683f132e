// SPDX-License-Identifier: Apache-2.0
//! Gives the log to those who ask: a Varlink socket, `org.kubermesh.Log`.
//!
//! ```text
//! reader ─ Read ─► conversation ─ query ─► cursor: a place in the segments, then the queue ─► replies
//! ```
//!
//! A reader holds a place in the files, not a queue of its own: one that is slow costs nothing,
//! and one that stands still is let go of. What is deliberately absent: writing.

mod conversation;
mod cursor;
mod query;
mod server;

#[cfg(fuzzing)]
pub(crate) use conversation::Conversation;
pub use query::Query;
pub use server::ServerError;
pub(crate) use server::{Server, View};
