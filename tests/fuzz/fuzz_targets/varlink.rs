// SPDX-License-Identifier: Apache-2.0
//! Varlink frames: what is taken is what stood there, and written again it is the same.
#![no_main]

use kubermesh_fuzz::grown;
use kubermesh_node::varlink::{self, Call, FRAME_LIMIT, Reply};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let bytes = &grown(bytes)[..];
    read::<Call>(bytes);
    read::<Reply>(bytes);
});

fn read<T>(bytes: &[u8])
where
    T: serde::Serialize + for<'de> serde::Deserialize<'de> + PartialEq + std::fmt::Debug,
{
    let mut buffer = bytes.to_vec();
    loop {
        let before = buffer.len();
        let taken = varlink::take::<T>(&mut buffer);
        assert!(bytes.ends_with(&buffer), "what is left is not what followed");
        match taken {
            Ok(Some(message)) => {
                assert!(buffer.len() < before);
                let mut again = varlink::frame(&message).unwrap();
                // A number or an escape may be written longer than it was read.
                if again.len() <= FRAME_LIMIT {
                    assert_eq!(varlink::take::<T>(&mut again).unwrap(), Some(message));
                }
            }
            Ok(None) => {
                assert!(buffer.len() < FRAME_LIMIT && !buffer.contains(&0));
                break;
            }
            Err(_) => break,
        }
    }
}
