// SPDX-License-Identifier: Apache-2.0
//! The kernel's notices of links and addresses.
#![no_main]

use kubermesh_net::fuzz::netlink;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = netlink(bytes);
});
