// SPDX-License-Identifier: Apache-2.0
//! In the place of `init/src/witness.rs`: each thought of the node is judged, and told in the story.

use kubermesh_node::effect::Effect;
use kubermesh_node::event::Event;
use kubermesh_node::node::Node;
use kubermesh_node::time::Time;

use crate::kernel::{Machine, with};

pub(crate) fn hears(event: &Event, node: &Node, now: Time) {
    with(|machine| machine.thinks(event, node, now));
}

pub(crate) fn decides(effects: &[Effect], node: &Node) {
    with(|machine| machine.decided(effects, node));
}

pub(crate) fn answered() {
    with(Machine::answered);
}
