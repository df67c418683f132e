// SPDX-License-Identifier: Apache-2.0
//! The whole node told as stories: events in, effects and status lines out, by hand.
//!
//! What is deliberately absent: one service's life alone, which has its own beside it.

#![allow(clippy::arithmetic_side_effects, reason = "a test may stop where it stands")]

mod any_order;
mod boot;
mod control;
mod down;
mod every_order;
mod health;
mod phases;
mod story;
