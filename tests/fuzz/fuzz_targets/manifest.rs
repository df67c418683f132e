// SPDX-License-Identifier: Apache-2.0
//! A manifest of a static pod: its name is in it.
#![no_main]

use kubermesh_fuzz::grown;
use kubermesh_probe::fuzz::manifest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = &String::from_utf8(grown(bytes)) else { return };
    if let Some(name) = manifest(text) {
        assert!(name.len() <= text.len());
    }
});
