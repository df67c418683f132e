// SPDX-License-Identifier: Apache-2.0
//! identity.toml on somebody's stick: what is accepted can be written and read again.
#![no_main]

use kubermesh_fuzz::grown;
use kubermesh_storage::fuzz::machines;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = &String::from_utf8(grown(bytes)) else { return };
    if let Some(again) = machines(text) {
        assert_eq!(machines(&again).as_ref(), Some(&again), "of {text}");
    }
});
