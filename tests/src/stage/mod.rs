// SPDX-License-Identifier: Apache-2.0
//! A stage: any init as PID 1 on the real kernel, in namespaces and a private root.
//!
//! ```text
//! test ──plan──► kubermesh-stage keep ──► enter ──► first ─exec─► the init under test
//!   ▲             root here: cgroup,       user, pid, mount, uts, ipc,      PID 1 in there,
//!   └──pid, end──  maps, clearing up       net and cgroup namespaces        nobody out here
//! ```
//!
//! Inits empty /tmp, mount, write sysctls and reboot. So the root is a tmpfs and the old one is gone
//! (pivot_root(2)), and root inside is an unprivileged user outside: root of another user namespace
//! that were root here could still write /proc/sys. Whatever is started ends with the test, also
//! after SIGKILL: `keep` sees its socket close, kills PID 1 and removes cgroup and folder.

mod control;
mod end;
mod kernel_log;
mod plan;
mod running;
mod tracer;

pub use control::Client;
pub use end::Ended;
pub use kernel_log::KernelLog;
pub use plan::{File, Opened, Plan, Stage, node_program};
pub use running::{Running, Service};

/// Root inside is this user outside, and so on: far above those that a machine has.
pub const FIRST_USER: u32 = 100_000;

/// So many users inside: 65534 is nobody.
pub const USERS: u32 = 65_536;

/// How long a test waits for what should take a moment: a busy machine makes minutes of it. Seconds in
/// `KUBERMESH_PATIENCE` say otherwise, where many tests shall fail (`make mutants`).
#[must_use]
pub fn patience() -> std::time::Duration {
    let given = std::env::var("KUBERMESH_PATIENCE").ok().and_then(|text| text.parse().ok());
    std::time::Duration::from_secs(given.unwrap_or(120))
}
