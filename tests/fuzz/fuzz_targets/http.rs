// SPDX-License-Identifier: Apache-2.0
//! The answer to a health check over HTTP: a status, or a sentence that fits into a report.
#![no_main]

use kubermesh_fuzz::{fits_a_report, grown};
use kubermesh_probe::fuzz::http;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let bytes = &grown(bytes)[..];
    match http(bytes) {
        Ok(status) => assert!((100..=999).contains(&status)),
        Err(sentence) => fits_a_report(&sentence),
    }
});
