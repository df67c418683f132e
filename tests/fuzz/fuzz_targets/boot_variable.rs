// SPDX-License-Identifier: Apache-2.0
//! The firmware's variable that names the boot partition.
#![no_main]

use kubermesh_storage::fuzz::boot_variable;
use kubermesh_storage::gpt::Guid;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some(guid) = boot_variable(bytes) {
        assert_eq!(Guid::parse(&guid.to_string()), Some(guid));
    }
});
