// SPDX-License-Identifier: Apache-2.0
//! The wall clock never stands before the image was made.
//!
//! The kernel sets it from the machine's own clock; one whose battery is empty says 2000 or 1970,
//! and then no certificate holds. What is deliberately absent: the right time. That is a worker's, later.

use std::path::Path;

use rustix::time::{ClockId, Timespec};

use crate::say::{Urgency, Voice};

/// Why the clock stays as it is.
#[derive(Debug, thiserror::Error)]
enum ClockError {
    #[error("read {EPOCH}")]
    Read(#[source] std::io::Error),
    #[error("{EPOCH} holds no seconds since 1970")]
    Number(#[source] std::num::ParseIntError),
    #[error("set the clock to {seconds}")]
    Set { seconds: i64, source: rustix::io::Errno },
}

/// The one time of all files of the image, in seconds since 1970.
const EPOCH: &str = "/usr/lib/kubermesh/epoch";

/// Sets the clock where it is early, and says so.
pub(crate) fn set(voice: &Voice) {
    match try_set(Path::new(EPOCH)) {
        Ok(None) => {}
        Ok(Some(early)) => voice.say(
            Urgency::News,
            &format!("the machine's clock was {early} days before this image: its battery may be empty; the time is the image's now"),
        ),
        Err(refusal) => voice.tell(&refusal),
    }
}

/// By how many days it was early.
fn try_set(epoch: &Path) -> Result<Option<i64>, ClockError> {
    let text = std::fs::read_to_string(epoch).map_err(ClockError::Read)?;
    let seconds: i64 = text.trim().parse().map_err(ClockError::Number)?;
    let now = rustix::time::clock_gettime(ClockId::Realtime).tv_sec;
    if now >= seconds {
        return Ok(None);
    }
    rustix::time::clock_settime(ClockId::Realtime, Timespec { tv_sec: seconds, tv_nsec: 0 })
        .map_err(|source| ClockError::Set { seconds, source })?;
    Ok(Some(seconds.saturating_sub(now) / 86_400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_not_early_is_left_alone() {
        let folder = std::env::temp_dir().join(format!("kubermesh-epoch-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let epoch = folder.join("epoch");
        std::fs::write(&epoch, "1767225600\n").unwrap();
        assert!(matches!(try_set(&epoch), Ok(None)));
        std::fs::write(&epoch, "yesterday").unwrap();
        let refusal = try_set(&epoch).unwrap_err().to_string();
        assert_eq!(refusal, "/usr/lib/kubermesh/epoch holds no seconds since 1970");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
