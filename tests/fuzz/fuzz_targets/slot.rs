// SPDX-License-Identifier: Apache-2.0
//! The memfd of PID 1's last life: what is read is what was written, or nothing.
#![no_main]

use kubermesh_fuzz::grown;
use kubermesh_node::slot;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let bytes = &grown(bytes)[..];
    if let Some((sequence, body)) = slot::read(bytes) {
        let again = slot::write(sequence, body).unwrap();
        assert!(bytes.starts_with(&again));
    }
    assert!(slot::body_bytes(bytes).unwrap_or(0) <= slot::SLOT_BYTES - slot::HEADER_BYTES);
    let sequence = bytes.iter().fold(0_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(*byte));
    let mut slot = slot::write(sequence, bytes).unwrap();
    assert_eq!(slot::read(&slot), Some((sequence, bytes)));
    let at = usize::try_from(sequence).unwrap() % slot.len();
    slot[at] ^= 1;
    assert_eq!(slot::read(&slot), None, "byte {at} was changed");
});
