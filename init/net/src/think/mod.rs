// SPDX-License-Identifier: Apache-2.0
//! Decides what to do about links, addresses and BIRD.
//!
//! Everything comes in as an [`event::Event`] and goes out as an [`effect::Effect`] or a report;
//! the same events give the same effects. What is deliberately absent: files, sockets, clocks.

pub(crate) mod bird_config;
pub(crate) mod conflist;
pub(crate) mod dialogue;
pub(crate) mod effect;
pub(crate) mod event;
pub(crate) mod link;
pub(crate) mod neighbours;
pub(crate) mod network;
pub(crate) mod place;
pub(crate) mod ports;
pub(crate) mod report;
