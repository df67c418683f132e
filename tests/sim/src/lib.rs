// SPDX-License-Identifier: Apache-2.0
//! PID 1 as it ships, in a kernel that is simulated: seeded, with a virtual clock, and with faults.
//!
//! ```text
//! trial ─► seed ─► run::first ─► sense · node · act ─► sys (the face) ─► kernel ◄─ world
//!            ▲                        witness ─► Judge, story                      processes, clients,
//!            └── recover::go_on ◄── a crash at any call                            devices, people
//! ```
//!
//! The files of `init/src` are compiled here once more, with the face in `sys/` in the place of the crate
//! `kubermesh-sys` (docs/decisions/0010-simulated-kernel.md). What is deliberately absent: threads, files,
//! the real clock. The same seed is the same story.
#![allow(missing_docs, reason = "the face has the docs of sys; the rest is for this crate")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::wildcard_enum_match_arm,
    reason = "a test may stop where it stands"
)]

extern crate self as kubermesh_sys;

pub use rustix::io::Errno;

#[path = "sys/clock.rs"]
pub mod clock;
#[path = "sys/descriptor.rs"]
pub mod descriptor;
#[path = "sys/epoll.rs"]
pub mod epoll;
#[path = "sys/fault.rs"]
pub mod fault;
#[path = "sys/files.rs"]
pub mod files;
#[path = "sys/inherited.rs"]
pub mod inherited;
#[path = "sys/interrupt.rs"]
pub mod interrupt;
#[path = "sys/kernel_log.rs"]
pub mod kernel_log;
#[path = "sys/machine.rs"]
pub mod machine;
#[path = "sys/memory.rs"]
pub mod memory;
#[path = "sys/notify.rs"]
pub mod notify;
#[path = "sys/pipe.rs"]
pub mod pipe;
#[path = "sys/power_key.rs"]
pub mod power_key;
#[path = "sys/process.rs"]
pub mod process;
#[path = "sys/program.rs"]
pub mod program;
#[path = "sys/seqpacket.rs"]
pub mod seqpacket;
#[path = "sys/signals.rs"]
pub mod signals;
#[path = "sys/socket.rs"]
pub mod socket;
#[path = "sys/spawn.rs"]
pub mod spawn;
#[path = "sys/successor.rs"]
pub mod successor;
#[path = "sys/uevent.rs"]
pub mod uevent;
#[path = "sys/watchdog.rs"]
pub mod watchdog;

#[path = "../../../init/src/act/mod.rs"]
mod act;
#[path = "../../../init/src/again.rs"]
mod again;
#[path = "../../../init/src/cgroup.rs"]
mod cgroup;
#[path = "../../../init/src/crash.rs"]
mod crash;
#[path = "../../../init/src/events.rs"]
mod events;
#[path = "../../../init/src/held.rs"]
mod held;
#[path = "../../../init/src/kept.rs"]
mod kept;
#[path = "../../../init/src/last_resort.rs"]
mod last_resort;
#[allow(dead_code, reason = "who rehearses is another process")]
#[path = "../../../init/src/recorder.rs"]
mod recorder;
#[path = "../../../init/src/recover.rs"]
mod recover;
#[path = "../../../init/src/run.rs"]
mod run;
#[path = "../../../init/src/say.rs"]
mod say;
#[path = "../../../init/src/sense/mod.rs"]
mod sense;
#[allow(dead_code, reason = "who rehearses is another process")]
#[path = "../../../init/src/upgrade.rs"]
mod upgrade;
#[path = "../../../init/src/written.rs"]
mod written;

mod kernel;
mod start;
pub mod tally;
pub mod trial;
mod witness;
mod world;
