// SPDX-License-Identifier: Apache-2.0
//! Asks services how they are, and reports what changed.
//!
//! ```text
//! PID 1 ── Watch, Unwatch, WatchPods, Ping ──► worker ── a task for each service ──► watch ─► check
//!   ▲                                            │                                    │
//!   └──── Health, Pods, Pong ──── outbox ◄───────┴──── judgement: only what changed ◄─┘
//! ```
//!
//! PID 1 never waits for anybody, so all asking is done here: HTTP, TCP, the CRI over gRPC, BIRD's
//! control socket, and the health sockets of our own workers. One thread: a service that does not
//! answer holds up its own task and nobody else's. [`stop_pods`] is the other end of a pod's
//! life and shares the CRI client. What is deliberately absent: names (a DNS look-up may block),
//! TLS, and any decision about what an answer means for the service: that is PID 1's.

mod check;
mod cri;
#[cfg(fuzzing)]
pub mod fuzz;
mod judgement;
mod outbox;
mod pods;
mod stop;
mod watch;
mod worker;

pub use cri::CriError;
pub use stop::{PodError, StopError, stop_pods};
pub use worker::{ProbeError, run};
