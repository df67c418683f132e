// SPDX-License-Identifier: Apache-2.0
//! What a light says of itself, its serial number, and how it takes orders: the report is of lights that are there, and short.
#![no_main]

use kubermesh_light::fuzz::lights;
use kubermesh_node::channel::MESSAGE_LIMIT;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let at = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (serials, answers) = bytes.split_at(at);
    // USB 2.0, 9.6.7: a string has at most 126 characters.
    let serials: Vec<String> = String::from_utf8_lossy(serials)
        .split('\n')
        .take(8)
        .map(|serial| serial.chars().take(126).collect())
        .collect();
    let (report, _) = lights(&serials, &answers[..answers.len().min(400)]);
    assert!(report.devices.iter().all(|device| serials.contains(device)));
    assert!(report.devices.len() + report.faults.len() <= serials.len() * 2);
    assert!(serde_json::to_vec(&report).unwrap().len() < MESSAGE_LIMIT / 2);
});
