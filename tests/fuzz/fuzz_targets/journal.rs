// SPDX-License-Identifier: Apache-2.0
//! journald's native protocol: an entry is bounded and harmless on a terminal.
#![no_main]

use kubermesh_fuzz::{grown, is_harmless};
use kubermesh_log::fuzz::journal;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let bytes = &grown(bytes)[..];
    let Some(entry) = journal(bytes) else { return };
    assert!(entry.message.len() <= 16 * 1024 && entry.service.len() <= 64);
    assert!(entry.left_out <= bytes.len() as u64);
    let fields = entry.fields.values().chain([&entry.message, &entry.service]);
    assert!(fields.into_iter().all(|text| is_harmless(text)));
    let json = serde_json::to_vec(&entry).unwrap();
    assert!(json.len() < 60_000, "an entry of {} bytes", json.len());
    assert_eq!(serde_json::from_slice::<kubermesh_log::Entry>(&json).unwrap(), entry);
});
