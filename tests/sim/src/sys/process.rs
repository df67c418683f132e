// SPDX-License-Identifier: Apache-2.0
//! Processes by their number, which is soon given to another.

use std::time::Duration;

pub use rustix::process::Signal;

use crate::Errno;
use crate::kernel::call;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Exit(i32),
    Signal(i32),
}

pub fn next_ended() -> Option<(u32, Ended)> {
    call("waitid", |machine| machine.next_ended())
}

pub fn reap(pid: u32) {
    call("waitid", |machine| machine.reap(pid));
}

pub fn group_of(pid: u32) -> Option<u32> {
    call("getpgid", |machine| machine.group_of(pid))
}

pub fn reap_one_of(group: u32) -> Option<u32> {
    call("wait4", |machine| machine.reap_one_of(group))
}

pub fn is_child(pid: u32) -> bool {
    call("waitid", |machine| machine.is_child(pid))
}

pub fn kill(pid: u32, signal: Signal) -> Result<(), Errno> {
    call("kill", |machine| machine.kill(pid, signal))
}

pub fn remind_of_children() {
    call("kill", |machine| machine.raise(crate::signals::Came::Child));
}

pub fn ends_within(_pid: u32, within: Duration) -> Result<bool, Errno> {
    call("poll", |machine| {
        machine.now += u64::try_from(within.as_micros()).unwrap_or(0);
        Ok(false)
    })
}
