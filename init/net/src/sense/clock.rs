// SPDX-License-Identifier: Apache-2.0
//! The moment it is.

use kubermesh_node::time::Time;
use rustix::time::{ClockId, clock_gettime};

/// Milliseconds of CLOCK_BOOTTIME.
pub(crate) fn now() -> Time {
    let moment = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(moment.tv_sec).unwrap_or(0);
    let milliseconds = u64::try_from(moment.tv_nsec / 1_000_000).unwrap_or(0);
    Time::from_millis(seconds.saturating_mul(1000).saturating_add(milliseconds))
}
