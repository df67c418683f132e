// SPDX-License-Identifier: Apache-2.0
//! Service files, each after a line `=== name.toml`: those that are kept fit together, and are the same when written again.
#![no_main]

use kubermesh_fuzz::grown;
use std::collections::BTreeSet;

use kubermesh_node::service::{Catalog, ServiceName, ServiceSpec};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = &String::from_utf8(grown(bytes)) else { return };
    let files: Vec<(&str, &str)> =
        text.split("=== ").filter_map(|file| file.split_once('\n')).collect();
    let (catalog, refusals) = Catalog::lenient(files.iter().copied());
    assert_eq!(Catalog::strict(files).is_ok(), refusals.is_empty());
    let mut settled: BTreeSet<ServiceName> = BTreeSet::new();
    while let Some((name, _)) = catalog.iter().find(|(name, spec)| {
        !settled.contains(*name) && spec.after.iter().all(|wanted| settled.contains(wanted))
    }) {
        settled.insert(name.clone());
    }
    assert_eq!(settled.len(), catalog.iter().count(), "some can never start");
    for (name, spec) in catalog.iter() {
        let again = toml::to_string(spec).unwrap();
        let file = format!("{name}.toml");
        assert_eq!(ServiceSpec::parse(&file, &again).unwrap().1, *spec, "{again}");
    }
});
