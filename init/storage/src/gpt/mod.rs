// SPDX-License-Identifier: Apache-2.0
//! The partition table (UEFI 2.10, chapter 5): bytes in, a table out; a table in, writes out.
//!
//! ```text
//! sectors ─► Reading { table, primary, backup } ─► Table + additions ─► Vec<Step> ─► sectors
//! ```
//!
//! Pure: a disk is anything that reads bytes at an offset, a change is a list of writes and flushes
//! whose order makes a power cut harmless (docs/decisions/0005-storage.md). What is deliberately
//! absent: the protective MBR. It has no second copy, so it is never written.

mod entry;
mod guid;
mod header;
mod read;
mod write;

pub use entry::{Entry, MADE};
pub use guid::Guid;
pub use read::{Copy, GptError, ReadAt, Reading, Table, read};
pub use write::{Step, repair, replace};
