// SPDX-License-Identifier: Apache-2.0
//! sd_notify(3), the receiver's side: datagrams with the sender's credentials.
//!
//! A sender counts as a service when it is its main process or lies in its cgroup. MAINPID is not
//! taken: nothing of ours forks away, and a pid that a service names may be anybody's. BARRIER=1
//! brings a descriptor, which is closed here, and that is the answer.

use kubermesh_node::event::Event;
use kubermesh_node::service::ServiceName;
use kubermesh_sys::{interrupt, notify};

use crate::cgroup;
use crate::events::Events;
use crate::held::Held;

/// Datagrams taken in one turn.
const DATAGRAMS: usize = 64;

/// What services say now. `cgroup_of` finds a process's service by its cgroup.
pub(crate) fn receive(
    held: &Held,
    events: &mut Events,
    cgroup_of: impl Fn(&str) -> Option<(ServiceName, u64)>,
) {
    for _ in 0..DATAGRAMS {
        let Some((pid, words)) = notify::peek(&held.notify) else { break };
        if notify::says_ready(&words) {
            let main = held.children.get(&pid).map(|child| (child.service.clone(), child.instance));
            let found = main.or_else(|| cgroup_of(&cgroup::of(&pid.to_string())?));
            if let Some((service, instance)) = found {
                events.push(Event::Ready { service, instance });
            }
        }
        interrupt::waits(|| notify::pass(&held.notify));
    }
}
