// SPDX-License-Identifier: Apache-2.0
//! node.toml from a stick: what is accepted is the same when written again, and a refusal is short.
#![no_main]

use kubermesh_fuzz::{chain, grown};
use kubermesh_node::config::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = &String::from_utf8(grown(bytes)) else { return };
    match Config::parse("node.toml", text) {
        Ok(config) => {
            let again = toml::to_string(&config).unwrap();
            assert_eq!(Config::parse("node.toml", &again).unwrap(), config, "{again}");
        }
        Err(refusal) => assert!(!chain(&refusal).is_empty()),
    }
});
