// SPDX-License-Identifier: Apache-2.0
//! STATE and DATA: found, made on first boot, checked, mounted; and unmounted at the end.
//!
//! ```text
//! boot loader's variable ─► stick ─► table ─► partitions ─► ext4 ─► /state, /var ─┐
//!                             └► kubermesh/node.toml ────────────► Report::Storage ◄─┴─ identity
//! ```
//!
//! A task, not a worker: it runs once as PID 1's child, so that a dead disk takes this process and
//! nothing else. Whatever is wrong, it ends with a report: what the stick cannot give is in memory,
//! and a fault says why. What is deliberately absent: any disk but the one booted from.

mod child;
mod crash;
mod disk;
mod error;
mod filesystem;
mod finish;
#[cfg(fuzzing)]
pub mod fuzz;
pub mod gpt;
mod hardware;
mod identity;
mod leftovers;
mod memory;
mod mount;
mod place;
mod room;
mod say;
mod stick;
mod task;
mod uevents;

pub use error::{StorageError, in_one_line};
pub use finish::unmount_all;
pub use place::Place;
pub use room::{Layout, Room};
pub use task::prepare;

use kubermesh_node::channel::Report;
use kubermesh_worker::Channel;

/// `kubermesh storage`: mounts STATE and DATA and reports to PID 1.
///
/// # Errors
/// Only that PID 1 cannot be told.
pub fn run() -> Result<(), StorageError> {
    let channel = Channel::inherit()?;
    let report = prepare(&Place::default());
    channel.send(&Report::Storage(report))?;
    Ok(())
}

/// `kubermesh storage finish`: unmounts them.
///
/// # Errors
/// The first mount that could not be unmounted; all of them were tried and told.
pub fn finish() -> Result<(), StorageError> {
    match unmount_all(&Place::default()).into_iter().next() {
        None => Ok(()),
        Some(wrong) => {
            Err(StorageError::StillMounted { point: wrong.subject, sentence: wrong.sentence })
        }
    }
}
