// SPDX-License-Identifier: Apache-2.0
//! From here on a crash is survived; on trial by the program before.

use crate::Errno;
use crate::kernel::{GoesBack, end, with};

pub fn install(_kernel_log: i32) -> Result<(), Errno> {
    with(|machine| machine.may_crash = true);
    Ok(())
}

pub fn fall_back_to(_program: i32) {
    with(|machine| machine.is_on_trial = true);
}

/// alarm(2), which goes on over exec(2).
pub fn limit(seconds: u32) {
    with(|machine| {
        let within = u64::from(seconds) * 1_000_000;
        machine.alarm = (seconds > 0).then_some(machine.now + within);
    });
}

pub fn stay() {
    with(|machine| {
        machine.is_on_trial = false;
        machine.alarm = None;
    });
}

pub fn go_back(_cause: &std::ffi::CStr) {
    if with(|machine| machine.is_on_trial) {
        end(GoesBack);
    }
}
