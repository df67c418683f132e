// SPDX-License-Identifier: Apache-2.0
//! A worker that logs as ours do: `tracing` to journald's socket, one entry too big for a datagram.

fn main() {
    kubermesh_worker::start_log("speaker");
    tracing::error!(answer = 42, "it is\ntwo lines");
    tracing::info!("{}", "b".repeat(400_000));
}
