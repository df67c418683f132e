// SPDX-License-Identifier: Apache-2.0
//! The kernel's word of a device: each pair stood there, and no more than that.
#![no_main]

use kubermesh_fuzz::grown;
use kubermesh_sys::uevent::Uevent;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let bytes = &grown(bytes)[..];
    let event = Uevent::read(bytes);
    let words = bytes.split(|byte| *byte == 0).skip(1);
    let words: Vec<_> = words.filter(|word| word.contains(&b'=')).collect();
    assert_eq!(event.pairs.len(), words.len());
    for ((key, value), word) in event.pairs.iter().zip(words) {
        assert!(!key.contains('='));
        assert_eq!(format!("{key}={value}"), String::from_utf8_lossy(word));
        assert!(event.get(key).is_some());
    }
});
