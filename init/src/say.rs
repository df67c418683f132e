// SPDX-License-Identifier: Apache-2.0
//! PID 1's voice: lines of the kernel's log, which outlives everything and waits for nobody.

use kubermesh_sys::descriptor::RawFd;
use kubermesh_sys::kernel_log::{self, KernelLog};

/// An open /dev/kmsg.
#[derive(Debug)]
pub(crate) struct Voice {
    log: Option<KernelLog>,
}

/// How urgent a line is, syslog(2).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Urgency {
    /// Something failed.
    Error = 3,
    /// News. Notice rather than info, so that a console at its usual level shows it.
    News = 5,
}

impl Voice {
    /// Opens it; before /dev is there nobody hears.
    pub(crate) fn open() -> Self {
        Self { log: KernelLog::open().ok() }
    }

    /// One that nobody hears.
    #[cfg(test)]
    pub(crate) const fn silent() -> Self {
        Self { log: None }
    }

    /// Says one line.
    pub(crate) fn say(&self, urgency: Urgency, line: &str) {
        if let Some(log) = &self.log {
            // Nobody is left to tell when the kernel's own log refuses.
            let _ = log.write(&kernel_log::record(urgency as u8, line));
        }
    }

    /// Says an error with its causes.
    pub(crate) fn tell(&self, error: &dyn std::error::Error) {
        self.say(Urgency::Error, &chain(error));
    }

    pub(crate) fn number(&self) -> RawFd {
        self.log.as_ref().map_or(-1, KernelLog::number)
    }
}

/// An error with its causes, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}
