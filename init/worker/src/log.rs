// SPDX-License-Identifier: Apache-2.0
//! A worker's own log: `tracing` to journald's socket, which the log worker owns.

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Sends this process's `tracing` events to `/run/systemd/journal/socket` as `identifier`; while
/// nobody listens there, to standard error, which PID 1 hands to the log worker too.
pub fn start(identifier: &str) {
    match tracing_journald::layer() {
        Ok(journal) => {
            let journal = journal.with_syslog_identifier(identifier.to_owned());
            tracing_subscriber::registry().with(journal).init();
        }
        Err(_) => start_on_stderr(),
    }
}

/// Standard error alone: for the log worker itself, which must not write to its own socket.
pub fn start_on_stderr() {
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .without_time()
        .with_ansi(false);
    tracing_subscriber::registry().with(lines).init();
}
