// SPDX-License-Identifier: Apache-2.0
//! What holds for every file of the house, and Cargo and clippy cannot hold: walls, sizes, names, head docs.
//!
//! ```text
//! checkout ─► source: files as text ─┬─► rules, tests, walls: one function a rule, files in, faults out
//!                                    └─► packages: what Cargo says of the dependencies
//! ```
//!
//! Each rule is tried on a bad example too: a rule that finds nothing would otherwise look like a clean house.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "a test may stop where it stands"
)]

mod packages;
mod rules;
mod source;
mod walls;

use source::Source;

#[test]
fn every_file_keeps_the_house_rules() {
    let house = source::checkout();
    assert!(house.len() > 100, "only {} files were found", house.len());
    let faults: Vec<String> = rules::ALL.iter().flat_map(|rule| rule(&house)).collect();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn every_room_keeps_its_walls() {
    let house = source::checkout();
    let faults: Vec<String> = walls::ALL.iter().flat_map(|rule| rule(&house)).collect();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// One rule: the files of a house in, a sentence for each fault out.
type Rule = fn(&[Source]) -> Vec<String>;

/// A house of one file, for the examples of the rules.
#[cfg(test)]
fn one(path: &str, text: &str) -> Vec<Source> {
    vec![Source { path: path.to_owned(), text: text.to_owned() }]
}
