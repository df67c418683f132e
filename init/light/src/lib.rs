// SPDX-License-Identifier: Apache-2.0
//! Shows the node's state on each blink(1) that is plugged in.
//!
//! ```text
//! PID 1 ── Status, Identify ──► worker ─► lights ─► lamp (one device) ─► command ─► hid ─► /dev/hidraw*
//! kernel ── uevent ───────────────┘          └► Lights report ─► PID 1
//! ```
//!
//! Patterns run in the device, so that an idle worker only says "still alive" to it every few
//! seconds (`serverdown`); the device itself tells when nobody does. What is deliberately absent:
//! what a colour means (`kubermesh_node::light`), a thread, and the command that writes the
//! device's flash: that wears out, and would outlive this node on a light that somebody may move
//! to another one.

mod command;
#[cfg(fuzzing)]
pub mod fuzz;
mod hid;
mod lamp;
mod lights;
mod slot;
mod worker;

pub use worker::{LightError, run};
