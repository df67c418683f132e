// SPDX-License-Identifier: Apache-2.0
//! A mesh on a desk: machines, cables that can be pulled, a blink(1) on each.
//!
//! ```text
//!  Machine ── serial ── Serial        what the guest said, line by line, and what we type
//!     │  └─── agent ─── Agent         commands inside the guest, where the image has the test overlay
//!     ├── port 0 ── Cable ── port 1 of another Machine, or of a Namespace on this host
//!     ├── USB stick ── Stick          a private copy; may record its writes, refuse them, or hang
//!     └── USB socket ── Blink1        an emulated light that writes down all it showed
//! ```
//!
//! Whatever starts here ends with us: each process dies with its parent (`process`), each file lies in one
//! folder that is swept even after a SIGKILL (`folder`).
//!
//! ```no_run
//! use std::time::Duration;
//! use kubermesh_qemu::blink1::{Blink1, Hue, Kind, Led, Rhythm};
//! use kubermesh_qemu::{Cable, Recipe, Stick};
//!
//! # fn main() -> anyhow::Result<()> {
//! let (boot, soon) = (Duration::from_secs(90), Duration::from_secs(20));
//! let image = || Stick::from_image("out/kubermesh-usb.img").size_mib(4096);
//! let one = Recipe::new("node1").stick(image()).boot()?;
//! let two = Recipe::new("node2").stick(image()).boot()?;
//! let cable = Cable::between(one.port(0)?, two.port(0)?)?;
//! let light = Blink1::new(Kind::Mk2, 1)?;
//! light.plug(one.light_socket(0))?;
//!
//! one.serial().wait("kubermesh: status=ready", boot)?;
//! let neighbours = one.agent().must(&["kubermesh", "links", "--json"])?;
//! assert!(neighbours.contains("fe80::"));
//!
//! let pulled = light.now();
//! cable.pull()?;
//! one.serial().wait("kubermesh: status=isolated", soon)?;
//! let is_steady = |rhythm| rhythm == Rhythm::Steady;
//! light.wait_seen("steady green", Led::First, Duration::from_secs(3), soon, |seen| {
//!     seen.is(Hue::Green, is_steady)
//! })?;
//! let changes = light.record().between(pulled, light.now()).count();
//! assert!(changes > 0);
//! # Ok(())
//! # }
//! ```
//!
//! Deliberately absent: anything of the node. The bytes of the blink(1), the lines of the console and the
//! names of devices are stated here again, from their documentation, so that a mistake in the driver
//! cannot hide behind the same mistake in its emulator.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "runs on a person's machine, never on a node: a panic here is a failed test with its place"
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        reason = "a test may stop where it stands"
    )
)]

pub mod agent;
pub mod blink1;
mod cable;
mod folder;
mod machine;
mod namespace;
mod plain;
mod process;
mod pump;
mod qmp;
mod serial;
mod stick;
mod wire;
mod write_log;

pub use cable::Cable;
pub use folder::Folder;
pub use machine::{Accelerator, Boot, Machine, Nic, Recipe, SerialPort};
pub use namespace::Namespace;
pub use plain::Plain;
pub use process::Process;
pub use serial::Serial;
pub use stick::Stick;
pub use wire::Port;
pub use write_log::{Cut, WriteLog};
