// SPDX-License-Identifier: Apache-2.0
//! BIRD's control socket, for probe: whoever answers there, the sentence fits into a report.
#![no_main]

use kubermesh_fuzz::{fits_a_report, grown};
use kubermesh_probe::fuzz::bird;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let bytes = &grown(bytes)[..];
    let (Ok(sentence) | Err(sentence)) = bird(bytes);
    fits_a_report(&sentence);
});
