// SPDX-License-Identifier: Apache-2.0
//! PID 1's control socket: whatever a client says, the answers fit into frames and nobody but a test crashes it.
#![no_main]

use kubermesh_fuzz::{grown, node};
use kubermesh_node::effect::Effect;
use kubermesh_node::heard::Heard;
use kubermesh_node::time::Time;
use kubermesh_node::varlink::{self, Call, FRAME_LIMIT};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let bytes = &grown(bytes)[..];
    for is_root in [false, true] {
        let mut node = node();
        let mut buffer = bytes.to_vec();
        while let Ok(Some(call)) = varlink::take::<Call>(&mut buffer) {
            match Heard::of(7, &call, is_root, false) {
                Heard::Asked(event) => {
                    for effect in node.step(event, Time::from_millis(1000)) {
                        if let Effect::Answer { client, reply } = effect {
                            assert_eq!(client, if call.oneway { 0 } else { 7 });
                            fits(&reply);
                        } else {
                            assert!(
                                is_root || !acts(&effect),
                                "{effect:?} for one who is not root"
                            );
                        }
                    }
                }
                Heard::Answer(client, reply) => {
                    assert_eq!(client, if call.oneway { 0 } else { 7 });
                    fits(&reply);
                }
                Heard::Crash(how) => panic!("crashed by {how}"),
            }
        }
    }
});

fn fits(reply: &varlink::Reply) {
    let length = varlink::frame(reply).unwrap().len();
    assert!(length <= FRAME_LIMIT, "an answer of {length} bytes");
}

fn acts(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::Terminate { .. }
            | Effect::KillMain { .. }
            | Effect::KillGroup { .. }
            | Effect::Leave(_)
    )
}
