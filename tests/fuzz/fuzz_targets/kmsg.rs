// SPDX-License-Identifier: Apache-2.0
//! A record of /dev/kmsg, for the log and for the console: what one understands the other does.
#![no_main]

use kubermesh_fuzz::{grown, is_harmless};
use kubermesh_log::fuzz::kernel;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let bytes = &grown(bytes)[..];
    let (kept, shown) = (kernel(bytes), kubermesh_console::fuzz::kernel_record(bytes));
    if let Some(entry) = &kept {
        assert!(is_harmless(&entry.message) && entry.message.len() <= 16 * 1024);
        assert!(entry.sequence.is_some());
    }
    if let Some(lines) = shown {
        assert!(kept.is_some(), "the console shows what the log does not keep");
        assert!(!lines.is_empty());
        assert!(lines.iter().all(|line| !line.contains(char::is_control)));
    }
});
