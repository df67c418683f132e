// SPDX-License-Identifier: Apache-2.0
//! PID 1 of a Kubermesh node: joins thinking to the world.
//!
//! ```text
//! kernel ─► /init in the initramfs ─► start::root ─► exec ─► start::house ─► run::turn … ─► reboot
//!                                                                ▲   │ panic, SIGSEGV …
//!                                                   --recover ───┴───┘ last_resort
//! ```
//!
//! Another program takes PID 1's place as `--take-over`, and gives it back to this one as `--go-back`.
//!
//! One thread, one epoll. `sense` makes events, `node` thinks, `act` does. What is deliberately
//! absent: whatever may block or parses foreign bytes at length. Workers do that.

mod act;
mod again;
mod cgroup;
mod crash;
mod events;
mod held;
mod kept;
mod last_resort;
mod recorder;
mod recover;
mod run;
mod say;
mod sense;
mod start;
mod upgrade;
mod witness;
mod written;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("--version") => {
            println!("init {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        Some("--rehearse") => return upgrade::understand(),
        Some(_) | None if !kubermesh_sys::process::is_first() => {
            eprintln!(
                "init is the first process of a Kubermesh node and is started by its kernel; for the command line: kubermesh --help"
            );
            return ExitCode::from(2);
        }
        Some("--recover") => recover::go_on(&arguments.next().unwrap_or_default()),
        Some("--take-over") => recover::take_over(),
        Some("--go-back") => recover::go_back(&arguments.next().unwrap_or_default()),
        Some("--house") => run::first(),
        Some(_) | None => start::root::enter(),
    }
    // Only what cannot be helped comes here: a PID 1 that ends is a kernel panic, and `panic=10`
    // starts the machine again.
    ExitCode::FAILURE
}
