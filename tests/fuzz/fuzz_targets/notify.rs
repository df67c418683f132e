// SPDX-License-Identifier: Apache-2.0
//! A datagram of sd_notify(3): READY=1 is a line of its own or is not said.
#![no_main]

use kubermesh_fuzz::grown;
use kubermesh_sys::notify;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let bytes = &grown(bytes)[..];
    let framed = [b"\n", bytes, b"\n"].concat();
    let expected = framed.windows(9).any(|window| window == b"\nREADY=1\n");
    assert_eq!(notify::says_ready(bytes), expected);
});
