// SPDX-License-Identifier: Apache-2.0
//! Decides what this node should be and what to do next to become it.
//!
//! ```text
//! Facts ──┐
//! Config ─┴─► Plan ─► Node::step(Event, now) ─► Effects ─► (world) ─► Events ─► …
//!                          └─► Status ─► light::Pattern
//! ```
//!
//! What is deliberately absent: files, sockets, processes, clocks, threads, `unsafe`. All this
//! crate knows comes in as an [`event::Event`]; all it wants goes out as an
//! [`effect::Effect`]; `init` carries both. The same events give the same effects, so a bad boot
//! can be replayed from its story.

pub mod brief;
pub mod channel;
pub mod config;
pub mod control;
pub mod effect;
pub mod event;
pub mod heard;
pub mod identity;
pub mod invariants;
pub mod light;
pub mod node;
pub mod plan;
pub mod service;
pub mod status;
pub mod story;
pub mod time;
pub mod varlink;
