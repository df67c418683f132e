// SPDX-License-Identifier: Apache-2.0
//! sd_notify(3), the receiver's side: datagrams with the sender's credentials.
//!
//! A sender counts as a service when it is its main process or lies in its cgroup. MAINPID is not
//! taken: nothing of ours forks away, and a pid that a service names may be anybody's. BARRIER=1
//! brings a descriptor, which is closed here, and that is the answer.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;

use kubermesh_node::event::Event;
use kubermesh_node::service::ServiceName;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};

use crate::held::Held;

/// Datagrams taken in one turn.
const DATAGRAMS: usize = 64;

/// Longer words are cut; none that is understood is longer.
const LONGEST: usize = 4096;

/// What services say now. `cgroup_of` finds a process's service by its cgroup.
pub(crate) fn receive(
    held: &Held,
    cgroup_of: impl Fn(&str) -> Option<(ServiceName, u64)>,
) -> Vec<Event> {
    let mut events = Vec::new();
    for _ in 0..DATAGRAMS {
        let Some((pid, words)) = receive_one(held) else { break };
        if !words.split(|byte| *byte == b'\n').any(|word| word == b"READY=1") {
            continue;
        }
        let main = held.children.get(&pid).map(|child| (child.service.clone(), child.instance));
        let found = main.or_else(|| {
            let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
            cgroup_of(text.trim().strip_prefix("0::/")?)
        });
        events.extend(found.map(|(service, instance)| Event::Ready { service, instance }));
    }
    events
}

fn receive_one(held: &Held) -> Option<(u32, Vec<u8>)> {
    let mut bytes = vec![0; LONGEST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1), ScmRights(4))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let heard = rustix::net::recvmsg(
        &held.notify,
        &mut [IoSliceMut::new(&mut bytes)],
        &mut ancillary,
        flags,
    )
    .ok()?;
    let mut sender = None;
    for message in ancillary.drain() {
        // A descriptor that comes along is dropped here, which closes it.
        if let RecvAncillaryMessage::ScmCredentials(credentials) = message {
            sender = Some(credentials.pid.as_raw_pid().cast_unsigned());
        }
    }
    bytes.truncate(heard.bytes);
    Some((sender.unwrap_or(0), bytes))
}
