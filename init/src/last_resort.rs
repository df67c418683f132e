// SPDX-License-Identifier: Apache-2.0
//! When PID 1 itself fails: it executes itself again; when that no longer helps, the machine
//! starts again, in order.

use std::ffi::CString;
use std::os::fd::AsFd;

use kubermesh_sys::{fault, spawn};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags};
use rustix::system::RebootCommand;

use crate::say::{Urgency, Voice};

/// How long the disks get before the machine starts again all the same.
const SYNC_WITHIN: Timespec = Timespec { tv_sec: 15, tv_nsec: 0 };

/// From now on a panic or a fault executes PID 1 again.
pub(crate) fn prepare(voice: &Voice) {
    if let Err(refusal) = fault::install(voice.number()) {
        voice.tell(&refusal);
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map_or_else(String::new, |place| format!(" at {}:{}", place.file(), place.line()));
        let cause = CString::new(format!("panic{place}")).unwrap_or_default();
        fault::execute_again(&cause);
    }));
}

/// PID 1 can supervise no longer: one line, the disks with a deadline, and the machine starts again.
pub(crate) fn start_again(voice: &Voice, why: &str) -> ! {
    voice.say(
        Urgency::Error,
        &format!("status=failed PID 1 cannot go on: {why}; the machine starts again"),
    );
    end_disks(voice);
    leave(RebootCommand::Restart)
}

/// Leaves. Syncing is over, and the kernel does none: a dead disk would hold PID 1 here.
pub(crate) fn leave(how: RebootCommand) -> ! {
    // Comes back only without CAP_SYS_BOOT; then the kernel's panic starts the machine again.
    let _ = rustix::system::reboot(how);
    std::process::exit(1)
}

/// Unmounts in a child, which a dead disk may keep.
fn end_disks(voice: &Voice) {
    let Ok(null) = std::fs::File::options().read(true).write(true).open("/dev/null") else {
        return;
    };
    let command = ["/usr/bin/kubermesh", "storage", "finish"].map(str::to_owned);
    let program = spawn::Program {
        command: &command,
        environment: &[],
        cgroup_procs: None,
        oom_score: 0,
        input: null.as_fd(),
        output: null.as_fd(),
        third: None,
    };
    let child = match spawn::spawn(&program) {
        Ok(child) => child,
        Err(refusal) => return voice.tell(&refusal),
    };
    let pid = Pid::from_raw(child.pid.cast_signed());
    let Some(pidfd) =
        pid.and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok())
    else {
        return;
    };
    let ended = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&SYNC_WITHIN));
    if ended.is_ok_and(|count| count == 0) {
        voice.say(Urgency::Error, "the disks do not answer, left as they are");
    }
}
