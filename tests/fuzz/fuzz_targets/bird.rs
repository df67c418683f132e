// SPDX-License-Identifier: Apache-2.0
//! BIRD's control socket, for net: how its words are cut makes no difference.
#![no_main]

use kubermesh_fuzz::grown;
use kubermesh_net::fuzz::bird;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let bytes = &grown(bytes)[..];
    let Some((size, said)) = bytes.split_first() else { return };
    let (whole, pieces) = (bird([said]), bird(said.chunks(usize::from(*size).max(1))));
    // A line that is too long is noticed before its end only where it comes in pieces.
    if let (Ok(whole), Ok(pieces)) = (whole, pieces) {
        assert_eq!(whole, pieces);
        assert!(whole.len() <= said.iter().filter(|byte| **byte == b'\n').count());
    }
});
