// SPDX-License-Identifier: Apache-2.0
//! Events of an input device: a press of the power key is one at its place, and nothing else is.
#![no_main]

use kubermesh_sys::power_key::holds_press;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (whole, _) = bytes.as_chunks::<24>();
    let pressed = whole.iter().any(|event| event[16..] == [1, 0, 116, 0, 1, 0, 0, 0]);
    assert_eq!(holds_press(bytes), pressed);
});
