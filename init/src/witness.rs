// SPDX-License-Identifier: Apache-2.0
//! Who watches PID 1 think: on a node nobody. The simulation puts a judge in the place of this file.

use kubermesh_node::effect::Effect;
use kubermesh_node::event::Event;
use kubermesh_node::node::Node;
use kubermesh_node::time::Time;

/// The node, as it is now, is about to be told of this.
pub(crate) const fn hears(_event: &Event, _node: &Node, _when: Time) {}

/// The node, as it is now, decided this.
pub(crate) const fn decides(_effects: &[Effect], _node: &Node) {}

/// All of that is done, and written down.
pub(crate) const fn answered() {}
