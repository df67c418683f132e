// SPDX-License-Identifier: Apache-2.0
//! The one clock: CLOCK_BOOTTIME, clock_gettime(2). Nobody sets it, and it goes on while the machine sleeps.

use std::time::Duration;

use rustix::time::ClockId;

/// How long ago the kernel started.
#[must_use]
pub fn since_start() -> Duration {
    let clock = rustix::time::clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(clock.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(clock.tv_nsec).unwrap_or(0))
}
