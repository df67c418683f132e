// SPDX-License-Identifier: Apache-2.0
//! Answers control clients. One that does not read is dropped, never waited for.

use kubermesh_node::varlink::{self, FRAME_LIMIT, Reply};
use kubermesh_sys::{Errno, socket};

use crate::held::{Client, Held, Source};

/// Sends an answer; what has no room now goes when there is some.
pub(crate) fn answer(client: u64, reply: &Reply, held: &mut Held) {
    let Ok(bytes) = varlink::frame(reply) else { return };
    let Some(found) = held.clients.get_mut(&client) else { return };
    let waited = !found.outbox.is_empty();
    found.outbox.extend_from_slice(&bytes);
    send(client, waited, held);
}

/// Sends a client more of what had no room.
pub(crate) fn send_rest(number: u32, held: &mut Held) {
    let client = u64::from(number);
    if held.clients.get(&client).is_some_and(|found| !found.outbox.is_empty()) {
        send(client, true, held);
    }
}

fn send(number: u64, waited: bool, held: &mut Held) {
    let Some(client) = held.clients.get_mut(&number) else { return };
    let keeps = send_some(client);
    let waits = !client.outbox.is_empty();
    let token = Source::Client(u32::try_from(number).unwrap_or(0)).token();
    let hears = waits == waited || held.epoll.tell_of_room(&client.socket, token, waits).is_ok();
    held.has_answered |= keeps && !waits;
    if !(keeps && hears) {
        held.dismiss(number);
    }
}

/// Whether the client keeps its connection.
fn send_some(client: &mut Client) -> bool {
    let sent = loop {
        match socket::send(&client.socket, &client.outbox) {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => break 0,
            Err(_) => return false,
            Ok(sent) => break sent,
        }
    };
    client.outbox.drain(..sent.min(client.outbox.len()));
    // What does not fit the socket's buffer now is what a slow reader has not read: a whole frame of
    // it is the most that is kept.
    client.outbox.len() < FRAME_LIMIT
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kubermesh_sys::epoll::Tells;
    use kubermesh_sys::seqpacket;

    use super::*;
    use crate::held::tests::held;

    #[test]
    fn what_a_slow_reader_has_no_room_for_goes_as_soon_as_there_is_some() {
        let mut held = held(&[]);
        let (socket, reader) = seqpacket::pair().unwrap();
        held.hear(&socket, Source::Client(7), Tells::While).unwrap();
        held.clients.insert(7, Client::of(socket, true));
        let reply = Reply { parameters: "x".repeat(40_000).into(), ..Reply::default() };
        let mut asked = 0;
        while held.clients.get(&7).unwrap().outbox.is_empty() {
            answer(7, &reply, &mut held);
            asked += 1;
        }
        assert!(asked > 1);
        assert!(held.epoll.wait(Duration::ZERO).is_empty());
        let read =
            || std::iter::from_fn(|| seqpacket::receive(&reader, FRAME_LIMIT).ok().flatten());
        assert_eq!(read().count(), asked - 1);
        // It asks for nothing more.
        assert_eq!(held.epoll.wait(Duration::from_secs(60)), [Source::Client(7).token()]);
        send_rest(7, &mut held);
        assert_eq!(read().count(), 1);
        assert!(held.epoll.wait(Duration::ZERO).is_empty());
    }
}
