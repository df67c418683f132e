// SPDX-License-Identifier: Apache-2.0
//! Varlink frames: what is taken is what stood there, and written again it is the same.
#![no_main]

use kubermesh_fuzz::grown;
use kubermesh_node::varlink::{self, Call, FRAME_LIMIT, Reply};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

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
                if again.len() <= FRAME_LIMIT && is_exact(&serde_json::to_value(&message).unwrap())
                {
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

/// serde_json reads a fraction one place off its last digit (its feature `float_roundtrip` would not). None of ours has one.
fn is_exact(value: &Value) -> bool {
    match value {
        Value::Number(number) => !number.is_f64(),
        Value::Array(list) => list.iter().all(is_exact),
        Value::Object(map) => map.values().all(is_exact),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}
