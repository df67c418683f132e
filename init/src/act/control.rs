// SPDX-License-Identifier: Apache-2.0
//! Answers control clients. One that does not read is dropped, never waited for.

use kubermesh_node::varlink::{self, FRAME_LIMIT, Reply};
use kubermesh_sys::{Errno, socket};

use crate::held::Held;

/// Sends an answer.
pub(super) fn answer(client: u64, reply: &Reply, held: &mut Held) {
    let Ok(bytes) = varlink::frame(reply) else { return };
    let Some(found) = held.clients.get_mut(&client) else { return };
    found.outbox.extend_from_slice(&bytes);
    let sent = loop {
        match socket::send(&found.socket, &found.outbox) {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => break Ok(0),
            other => break other,
        }
    };
    let keeps = match sent {
        Ok(sent) => {
            found.outbox.drain(..sent.min(found.outbox.len()));
            // What does not fit the socket's buffer now is what a slow reader has not read: a
            // whole frame of it is the most that is kept.
            found.outbox.len() < FRAME_LIMIT
        }
        Err(_) => false,
    };
    if !keeps {
        held.clients.remove(&client);
    }
}
