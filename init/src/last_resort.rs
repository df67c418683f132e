// SPDX-License-Identifier: Apache-2.0
//! When PID 1 itself fails: it executes itself again; when that no longer helps, the machine
//! starts again, in order.

use std::ffi::CString;
use std::time::Duration;

use kubermesh_sys::descriptor::AsFd;
use kubermesh_sys::machine::{self, Next};
use kubermesh_sys::{fault, files, process, spawn};

use crate::say::{Urgency, Voice};

/// How long the disks get before the machine starts again all the same.
const SYNC_WITHIN: Duration = Duration::from_secs(15);

/// From now on a panic or a fault executes PID 1 again.
pub(crate) fn prepare(voice: &Voice) {
    if let Err(refusal) = fault::install(voice.number()) {
        voice.tell(&refusal);
    }
}

/// PID 1 can supervise no longer: one line, the disks with a deadline, and the machine starts again.
pub(crate) fn start_again(voice: &Voice, why: &str) -> ! {
    // On trial it is the old program that goes on.
    fault::go_back(&CString::new(why).unwrap_or_default());
    voice.say(
        Urgency::Error,
        &format!("status=failed PID 1 cannot go on: {why}; the machine starts again"),
    );
    end_disks(voice);
    machine::leave(Next::Restart)
}

/// Unmounts in a child, which a dead disk may keep.
fn end_disks(voice: &Voice) {
    let Ok(null) = files::null() else { return };
    let command = ["/usr/bin/kubermesh", "storage", "finish"].map(str::to_owned);
    let program = spawn::Program {
        command: &command,
        environment: &[],
        place: spawn::Place::Parents,
        oom_score: 0,
        input: null.as_fd(),
        output: null.as_fd(),
        third: None,
    };
    let child = match spawn::spawn(&program) {
        Ok(child) => child,
        Err(refusal) => return voice.tell(&refusal),
    };
    spawn::let_go(&child.gate);
    if process::ends_within(child.pid, SYNC_WITHIN) == Ok(false) {
        voice.say(Urgency::Error, "the disks do not answer, left as they are");
    }
}
