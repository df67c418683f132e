// SPDX-License-Identifier: Apache-2.0
//! What the node says of itself, of which others wrote parts: no line of a page moves a cursor.
#![no_main]

use kubermesh_console::page::{self, Paint};
use kubermesh_fuzz::grown;
use kubermesh_node::channel::NetworkReport;
use kubermesh_node::control::{NodeView, ServicesView};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let bytes = &grown(bytes)[..];
    type Views = (NodeView, NetworkReport, ServicesView);
    let Ok((node, network, services)) = serde_json::from_slice::<Views>(bytes) else { return };
    let pages = [
        page::overview(&node, &network, &services),
        page::services(&services, node.now, Paint::Plain),
        page::links(&network, node.now, Paint::Plain),
        page::faults(&node.status.faults, node.now),
    ];
    for line in pages.iter().flatten() {
        assert!(!line.contains(char::is_control), "{line:?}");
    }
});
