// SPDX-License-Identifier: Apache-2.0
//! System calls, made safe. Knows the kernel, not the mesh.
//!
//! rustix first, nix where rustix has nothing. The only crate with `unsafe`: one block for each
//! wrapper, each with the conditions under which it is sound. What is deliberately absent: a
//! decision. A file here does what it is asked and returns the errno with its objects.
#![expect(unsafe_code, reason = "this is the room for it: everything outside is safe Rust")]

pub mod block;
pub mod clock;
pub mod descriptor;
pub mod device_access;
pub mod epoll;
pub mod fault;
pub mod files;
pub mod inherited;
pub mod interrupt;
pub mod kernel_log;
pub mod loop_device;
pub mod machine;
pub mod memory;
#[cfg(all(panic = "abort", target_env = "musl"))]
mod no_unwinding;
pub mod notify;
pub mod pipe;
pub mod power_key;
pub mod process;
pub mod program;
pub mod seccomp;
pub mod seqpacket;
pub mod signals;
pub mod socket;
pub mod spawn;
pub mod successor;
pub mod uevent;
pub mod watchdog;

pub use rustix::io::Errno;
