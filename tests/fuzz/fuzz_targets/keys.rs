// SPDX-License-Identifier: Apache-2.0
//! Bytes from a serial line, which may be noise: the node is not rebooted without a question and a yes.
#![no_main]

use std::time::Duration;

use kubermesh_console::fuzz::keys;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (pairs, _) = bytes.as_chunks::<2>();
    let strokes: Vec<(Duration, u8)> = pairs
        .iter()
        .map(|[after, key]| (Duration::from_millis(u64::from(*after).pow(2)), *key))
        .collect();
    let steps = keys(&strokes);
    let pressed = |keys: &[u8]| strokes.iter().filter(|(_, key)| keys.contains(key)).count();
    let asked = |wish: &str| {
        steps.iter().filter(|step| step.as_ref().err().is_some_and(|said| said == wish)).count()
    };
    for (wish, key) in [("Reboot", b'B'), ("PowerOff", b'P')] {
        assert!(asked(wish) <= pressed(&[key]).min(pressed(b"yY")), "{wish} without a yes");
    }
    // A cat of a file into the line: nobody types that fast.
    if strokes.iter().all(|(after, _)| after.as_millis() < 10) {
        assert_eq!(asked("Reboot") + asked("PowerOff"), 0, "by noise");
    }
    for line in steps.iter().flatten().flatten() {
        assert!(!line.contains(char::is_control), "{line:?}");
    }
});
