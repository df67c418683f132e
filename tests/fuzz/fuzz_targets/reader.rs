// SPDX-License-Identifier: Apache-2.0
//! Who asks the log worker: whatever he says, he gets whole replies that fit into frames.
#![no_main]

use kubermesh_fuzz::grown;
use kubermesh_log::fuzz::reader;
use kubermesh_node::varlink::{self, Reply};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let bytes = &grown(bytes)[..];
    let mut heard = reader(bytes).unwrap();
    while let Some(reply) = varlink::take::<Reply>(&mut heard).expect("a whole reply") {
        assert!(reply.error.is_some() || reply.parameters.is_object());
    }
    assert!(heard.is_empty(), "half a reply");
});
