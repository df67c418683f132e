// SPDX-License-Identifier: Apache-2.0
//! Reports of workers, one a line: whatever they say, what PID 1 makes of it fits into its messages, its record and the kernel's log.
#![no_main]

use kubermesh_fuzz::{grown, node};
use kubermesh_node::channel::{Envelope, MESSAGE_LIMIT, Report, VERSION};
use kubermesh_node::effect::Effect;
use kubermesh_node::event::Event;
use kubermesh_node::node::Node;
use kubermesh_node::time::Time;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let bytes = &grown(bytes)[..];
    let mut node = node();
    let mut now = Time::from_millis(1000);
    for line in bytes.split(|byte| *byte == b'\n') {
        let Ok(report) = serde_json::from_slice::<Report>(line) else { continue };
        let worker = worker(&report).parse().unwrap();
        now = Time::from_millis(now.as_millis() + 500);
        for effect in node.step(Event::Reported { worker, report }, now) {
            if let Effect::Tell { worker, order } = effect {
                let told = serde_json::to_vec(&Envelope { version: VERSION, body: order }).unwrap();
                assert!(told.len() <= MESSAGE_LIMIT, "{} bytes to {worker}", told.len());
            }
        }
    }
    let written = serde_json::to_vec(&node).unwrap();
    assert!(written.len() < 1 << 20, "a record of {} bytes", written.len());
    assert!(serde_json::from_slice::<Node>(&written).is_ok(), "the record cannot be read");
});

fn worker(report: &Report) -> &'static str {
    match report {
        Report::Pong { .. } | Report::Health(_) | Report::Pods(_) => "probe",
        Report::Network(_) => "net",
        Report::Lights(_) => "light",
        Report::Log(_) => "log",
        Report::Storage(_) => "storage",
    }
}
