// SPDX-License-Identifier: Apache-2.0
//! PID 1's voice: lines of the kernel's log, which outlives everything and waits for nobody.

use kubermesh_sys::descriptor::RawFd;
use kubermesh_sys::kernel_log::KernelLog;

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

    /// Says one line.
    pub(crate) fn say(&self, urgency: Urgency, line: &str) {
        // One write is one record; the kernel cuts it at about 1000 bytes (PRINTKRB_RECORD_MAX).
        let line: String =
            line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(900).collect();
        if let Some(log) = &self.log {
            // Nobody is left to tell when the kernel's own log refuses.
            let _ = log.write(&format!("<{}>kubermesh: {line}\n", urgency as u8));
        }
    }

    /// Says an error with its causes.
    pub(crate) fn tell(&self, error: &dyn std::error::Error) {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(next) = cause {
            text.push_str(": ");
            text.push_str(&next.to_string());
            cause = next.source();
        }
        self.say(Urgency::Error, &text);
    }

    pub(crate) fn number(&self) -> RawFd {
        self.log.as_ref().map_or(-1, KernelLog::number)
    }
}
