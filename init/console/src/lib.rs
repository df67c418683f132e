// SPDX-License-Identifier: Apache-2.0
//! The dashboard on the serial port and the screen.
//!
//! ```text
//! /proc/tty/driver/serial, /dev ─► find ─► a terminal each ─► dialogue ─► asking ─► PID 1
//!                            /dev/kmsg ─► kernel log ─┴─► outbox ─► the wire
//! ```
//!
//! It mirrors the kernel's log, and with it PID 1's status lines, from the first line on, and
//! answers single keys. Whatever a terminal does (Ctrl-S, unplugged, nobody reads, 9600 baud), only
//! that terminal waits. [`asking`] and [`page`] are the command line's too. What is deliberately
//! absent: cursor movement and colour, so that a captured log stays readable; a login.

mod answers;
pub mod asking;
mod dialogue;
mod find;
#[cfg(fuzzing)]
pub mod fuzz;
mod kernel_log;
pub mod page;
mod terminal;
mod worker;

pub use worker::{ConsoleError, run};
