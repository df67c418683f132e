// SPDX-License-Identifier: Apache-2.0
//! Plays services on a stage: its arguments are a small play, spoken from left to right.
//!
//! ```text
//! /actor stamp /run/began notify READY=1 stay
//! /actor start 1000 { exit 0 } exit 3              1000 orphans, and an exit status
//! /actor start 1 { setsid start 1 { stay } } stay  a grandchild in a session of its own
//! ```
//!
//! Static, so that it runs in an empty root. [`play`] has the words, one row each.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "runs on a stage of the tests only: what overflows there is a mistake of the test's"
)]

mod deeds;
mod play;

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match play::play(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => {
            eprintln!("actor: {refusal}");
            ExitCode::from(99)
        }
    }
}
