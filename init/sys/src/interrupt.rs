// SPDX-License-Identifier: Apache-2.0
//! Ends waits of close(2) that are somebody else's to end: a socket with SO_LINGER waits for its peer (socket(7)), a
//! serial port for its last bytes. Whoever sends a descriptor along has the receiver close it, also one that never takes it.
//!
//! Such a wait ends with a signal, so signals come as long as it may last.

use std::sync::Once;
use std::time::Duration;

use nix::sys::signal::{SaFlags, SigAction, SigEvent, SigHandler, SigSet, SigevNotify, Signal};
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;

/// Between two of them. One ends all waits of one system call, however many descriptors came along.
const EACH: Duration = Duration::from_millis(10);

/// Nobody else sends it here, and no child inherits what it means: without a handler it means nothing.
const SIGNAL: Signal = Signal::SIGURG;

/// Does what may close somebody's descriptor, and has none of these waits last longer than some 10 ms. For the first
/// thread of a process: the signal goes there. Where the kernel has no timer left it is done all the same.
pub fn waits<T>(deed: impl FnOnce() -> T) -> T {
    static HANDLES: Once = Once::new();
    HANDLES.call_once(|| {
        let action =
            SigAction::new(SigHandler::Handler(nothing), SaFlags::SA_RESTART, SigSet::empty());
        // SAFETY: the handler does nothing, so it may run wherever the signal meets us.
        let _ = unsafe { nix::sys::signal::sigaction(SIGNAL, &action) };
    });
    let event = SigEvent::new(SigevNotify::SigevSignal { signal: SIGNAL, si_value: 0 });
    let mut timer = Timer::new(ClockId::CLOCK_MONOTONIC, event).ok();
    if let Some(timer) = &mut timer {
        let _ = timer.set(Expiration::Interval(EACH.into()), TimerSetTimeFlags::empty());
    }
    deed()
}

extern "C" fn nothing(_: nix::libc::c_int) {}
