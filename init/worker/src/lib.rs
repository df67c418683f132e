// SPDX-License-Identifier: Apache-2.0
//! What every worker has: its channel to PID 1, its health socket, its log.
//!
//! ```text
//! PID 1 ◄── Report ── channel (SEQPACKET, descriptor in $KUBERMESH_CHANNEL) ── Order ──► worker
//! probe ── connect ──► /run/kubermesh/health/<worker> ── "ok\n" ──► probe
//! ```
//!
//! Both are plain descriptors, so that a worker waits for them in its own loop, with poll(2) or
//! with tokio's `AsyncFd`. The health socket is answered by the very loop that does the work: a
//! worker that hangs says nothing. What is deliberately absent: a loop, a runtime, a thread.

mod channel;
mod health;
mod log;

pub use channel::{Channel, ChannelError};
pub use health::{Health, HealthError};
pub use log::{start as start_log, start_on_stderr as start_log_on_stderr};

use std::path::Path;

/// Tells PID 1 that this worker does its work (`READY=1`). Without a `$NOTIFY_SOCKET`, as on a
/// desk, nobody is told.
pub fn say_ready() {
    if let Some(path) = std::env::var_os("NOTIFY_SOCKET")
        && let Err(refusal) = kubermesh_sys::notify::send(Path::new(&path), "READY=1")
    {
        tracing::warn!(%refusal, "tell PID 1 that this worker is ready");
    }
}
