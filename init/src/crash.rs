// SPDX-License-Identifier: Apache-2.0
//! A test's wish that PID 1 crashes, on a machine started with `kubermesh.test`.

use std::hint::black_box;

/// A test's words on the kernel's command line: how a program on trial fails.
const ON_TRIAL: [(&str, &str); 2] =
    [("kubermesh.trial=panic", "panic"), ("kubermesh.trial=hang", "hang")];

/// A program on trial does what the kernel's command line says.
pub(crate) fn as_wished(line: &str) {
    ON_TRIAL.iter().filter(|(word, _)| line.contains(word)).for_each(|(_, how)| by(how));
}

/// Crashes, or hangs.
#[expect(clippy::panic, reason = "that is what the test asks for")]
pub(crate) fn by(how: &str) {
    match how {
        "hang" => loop {
            std::hint::spin_loop();
        },
        "overflow" => {
            black_box(overflow(0));
        }
        _ => panic!("a test asked for it"),
    }
}

/// Takes more and more of the stack, until there is none.
fn overflow(depth: u64) -> u64 {
    let room = black_box([depth; 512]);
    let next = room.first().map_or(0, |depth| depth.wrapping_add(1));
    black_box(next).checked_add(1).map_or(0, |deeper| overflow(deeper).wrapping_add(next))
}
