// SPDX-License-Identifier: Apache-2.0
//! What the whole promises: stories, properties, kernel, scenarios, bench.
//!
//! Here: a node on the desk, asked over the test agent in the words of its own command line. What is
//! deliberately absent: anything of the node's own code; statuses, colours and addresses are
//! written by hand where they are expected.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "runs on a person's machine, never on a node: a panic here is a failed test with its place"
)]

mod first_boot;
pub mod house;
mod node;
pub mod privileges;
mod router;
pub mod stage;

pub use first_boot::{FirstBoot, Part};
pub use node::{Node, Service, image, soon, test_stick};
pub use router::{Router, Who};
