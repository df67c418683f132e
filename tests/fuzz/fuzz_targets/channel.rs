// SPDX-License-Identifier: Apache-2.0
//! What workers and PID 1 say to each other: written again it is the same.
#![no_main]

use kubermesh_fuzz::grown;
use kubermesh_node::channel::{Envelope, Order, Report};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let bytes = &grown(bytes)[..];
    again::<Report>(bytes);
    again::<Order>(bytes);
});

fn again<T>(bytes: &[u8])
where
    T: serde::Serialize + for<'de> serde::Deserialize<'de> + PartialEq + std::fmt::Debug,
{
    if let Ok(envelope) = serde_json::from_slice::<Envelope<T>>(bytes) {
        let written = serde_json::to_vec(&envelope).unwrap();
        assert_eq!(serde_json::from_slice::<Envelope<T>>(&written).unwrap(), envelope);
    }
}
