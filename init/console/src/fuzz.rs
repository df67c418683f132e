// SPDX-License-Identifier: Apache-2.0
//! Ways in for the fuzz targets (`tests/fuzz`), which see no more of a crate than others do. Only
//! a build with `cfg(fuzzing)` has them.

use std::time::{Duration, Instant};

use crate::dialogue::{Dialogue, Step};
use crate::kernel_log::Record;

/// A record of `/dev/kmsg` as lines.
#[must_use]
pub fn kernel_record(bytes: &[u8]) -> Option<Vec<String>> {
    Record::parse(bytes).map(|record| record.lines())
}

/// What comes of these keys, each so long after the one before: said, or asked of the node in words.
#[must_use]
pub fn keys(strokes: &[(Duration, u8)]) -> Vec<Result<Vec<String>, String>> {
    let mut now = Instant::now();
    let mut dialogue = Dialogue::new(now);
    let mut steps = Vec::new();
    for (after, byte) in strokes {
        now = now.checked_add(*after).unwrap_or(now);
        steps.extend(dialogue.expire(now).map(Ok));
        match dialogue.key(*byte, now) {
            Some(Step::Say(lines)) => steps.push(Ok(lines)),
            Some(Step::Ask(wish)) => {
                if wish == crate::dialogue::Wish::Choice {
                    let names = ["bird", "kubelet"].iter().filter_map(|name| name.parse().ok());
                    steps.push(Ok(dialogue.choose(names.collect(), now)));
                }
                steps.push(Err(format!("{wish:?}")));
            }
            None => {}
        }
    }
    steps
}
