// SPDX-License-Identifier: Apache-2.0
//! A container runtime's lists of pods and containers: no more pods run than are wanted.
#![no_main]

use kubermesh_probe::fuzz::pods;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let at = bytes.first().map_or(0, |first| usize::from(*first).pow(2)).min(bytes.len());
    let (sandboxes, containers) = bytes.split_at(at);
    let sandboxes = sandboxes.get(1..).unwrap_or_default();
    if let Some(report) = pods(sandboxes, containers) {
        assert!(report.wanted == 2 && report.running <= 2);
        let json = serde_json::to_vec(&report).unwrap();
        assert!(json.len() < 60_000, "a report of {} bytes", json.len());
    }
});
