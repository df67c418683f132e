// SPDX-License-Identifier: Apache-2.0
//! What went wrong with PID 1 elsewhere must not go wrong here: docs/bugs.md has each by its number.
//!
//! PID 1 as it ships, on a stage, with actors as its services. Each test is named for what must not
//! happen; a patch in tests/mutants puts the cause back, and `make mutants` sees the test fail.

#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may stop where it stands"
)]

mod crashing;
mod descriptors;
mod notifying;
mod outlasting;
mod reaping;
mod restarting;
mod spawning;
mod stopping;
mod table;

/// The service file of an actor that plays this, and what else it says.
fn plays(words: &str, rest: &str) -> String {
    let words: Vec<String> = words.split_whitespace().map(|word| format!("\"{word}\"")).collect();
    format!("command = [\"/actor\", {}]\n{rest}", words.join(", "))
}

/// What it says once it is ready by its own word.
const NOTIFIES: &str = "[ready]\nnotify = true\n";

/// Thousands of processes take so many times what is waited for a single turn.
const WORK: u32 = 5;
