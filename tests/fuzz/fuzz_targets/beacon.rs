// SPDX-License-Identifier: Apache-2.0
//! The first line of a request to the beacon, from anybody on the network: the answer is whole HTTP.
#![no_main]

use kubermesh_fuzz::grown;
use libfuzzer_sys::fuzz_target;

#[path = "../../../init/beacon/src/answer.rs"]
mod answer;
#[allow(dead_code, reason = "the pod's environment is not there")]
#[path = "../../../init/beacon/src/identity.rs"]
mod identity;

fuzz_target!(|bytes: &[u8]| {
    let bytes = &grown(bytes)[..];
    let request = String::from_utf8_lossy(bytes);
    let line = request.lines().next().unwrap_or_default();
    let identity = identity::Identity {
        node: line.chars().rev().collect(),
        pod: "beacon-n1".to_owned(),
        addresses: vec!["fd00::2".to_owned()],
    };
    let said = answer::answer(line, &identity, "::1".parse().unwrap());
    let (head, body) = said.split_once("\r\n\r\n").expect("an empty line");
    let length = format!("\r\nContent-Length: {}\r\n", body.len());
    assert!(head.starts_with("HTTP/1.1 ") && head.contains(&length));
    if head.contains("application/json") {
        let who: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(who["node"], identity.node.as_str());
    }
});
