// SPDX-License-Identifier: Apache-2.0
//! The worker `net`: links, addresses and BIRD's configuration.
//!
//! ```text
//! kernel ── netlink ──► sense ─┐                        ┌─► act ── netlink, sysctl ──► kernel
//!                              ├─ Event ─► think ─ Effect ─► act ── bird.conf, CNI ──► files
//! BIRD ─── its socket ─► bird ─┘             │          └─► bird ── configure ──► BIRD
//!                                            └─► Report ──► PID 1
//! ```
//!
//! What is deliberately absent: a route (BIRD makes them all), an address on a port (each has the
//! link-local one that the kernel gives it), a rename of an interface. What this worker did not
//! add it does not touch, and it leaves everything standing when it ends: its next run finds it.

mod act;
mod bird;
#[cfg(fuzzing)]
pub mod fuzz;
mod ground;
mod sense;
mod think;
mod worker;

pub use act::file::FileError;
pub use ground::Ground;
pub use sense::netlink::MonitorError;
pub use worker::{NetError, run, run_on};
