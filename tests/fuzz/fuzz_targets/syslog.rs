// SPDX-License-Identifier: Apache-2.0
//! A datagram of syslog(3): always an entry, bounded and harmless on a terminal.
#![no_main]

use kubermesh_fuzz::{grown, is_harmless};
use kubermesh_log::fuzz::syslog;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let bytes = &grown(bytes)[..];
    let entry = syslog(bytes);
    assert!(entry.message.len() <= 16 * 1024 && entry.service.len() <= 64);
    assert!(entry.priority.number() <= 7 && is_harmless(&entry.message));
    assert!(is_harmless(&entry.service) && !entry.to_string().contains('\n'));
    let json = serde_json::to_vec(&entry).unwrap();
    assert_eq!(serde_json::from_slice::<kubermesh_log::Entry>(&json).unwrap(), entry);
});
