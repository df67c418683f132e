// SPDX-License-Identifier: Apache-2.0
//! Turns what the kernel and others say into events. Decides nothing.

mod children;
mod control;
pub(crate) mod hardware;
mod notify;
mod workers;

pub(crate) use children::{Gone, next_gone, reap_crowd};
pub(crate) use control::{accept, listen_again, read_client, welcome};
pub(crate) use notify::receive as receive_notify;
pub(crate) use workers::{drain_output, drain_outputs, read_channel, read_newline};
