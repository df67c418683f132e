// SPDX-License-Identifier: Apache-2.0
//! The binary that picks the worker or the command line.
//!
//! ```text
//! kubermesh net | log | …   started by PID 1 ─► worker.rs ─► that worker's crate, until it ends
//! kubermesh status | why …  typed by a person ─► command.rs ─► the node's control socket
//! kubermesh upgrade-init …  a file ─► upgrade.rs ─► PID 1 becomes it
//! kubermesh check …         on a laptop ─► check/ ─► the code that the node itself reads files with
//! ```
//!
//! What is deliberately absent: anything that a worker or PID 1 does. This room only asks.

mod ask;
mod check;
mod command;
mod ending;
mod logs;
mod print;
mod upgrade;
mod wait;
mod worker;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    if let Some(code) = worker::run_if_named() {
        return code;
    }
    let line = command::Line::parse();
    match ask::carry_out(&line) {
        Ok(()) => ending::Ending::Done.into(),
        Err(refusal) => {
            let ending = refusal.ending();
            ending::tell(&refusal);
            ending.into()
        }
    }
}
