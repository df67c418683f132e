// SPDX-License-Identifier: Apache-2.0
//! The virtual clock.

use std::time::Duration;

use crate::kernel::call;

pub fn since_start() -> Duration {
    call("clock_gettime", |machine| Duration::from_micros(machine.now))
}
