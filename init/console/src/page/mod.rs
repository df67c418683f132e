// SPDX-License-Identifier: Apache-2.0
//! How a node's answers read: plain lines for the serial port, the screen and the command line.
//!
//! One file for each answer. Pure: values in, lines out; moments are told as time gone by, so the
//! node's own `now` comes in too. What is deliberately absent: cursor movement, and the width of
//! anybody's terminal.

mod line;
mod links;
mod overview;
mod services;
mod status;
mod table;

pub use line::{Paint, clean, lasting, printable};
pub use links::links;
pub use overview::overview;
pub use services::services;
pub use status::{faults, light, status, why};
