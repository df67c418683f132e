// SPDX-License-Identifier: Apache-2.0
//! The control socket: Varlink calls become events.

use std::collections::BTreeMap;

use kubermesh_node::heard::Heard;
use kubermesh_node::varlink::{self, Call};
use kubermesh_sys::descriptor::OwnedFd;
use kubermesh_sys::epoll::Tells;
use kubermesh_sys::{Errno, interrupt, seqpacket, socket};

use crate::held::{Client, Held, Source};

/// Clients at once. A further one takes the place of another: PID 1 would be told again and again of
/// one that it leaves waiting.
const CLIENTS: usize = 32;

/// Clients taken in one turn, so that a crowd of them does not keep the others waiting.
const ACCEPTED: usize = 32;

/// So many refusals in one turn are borne.
const REFUSED: u8 = 2;

/// Takes new clients.
pub(crate) fn accept(held: &mut Held) {
    let mut refusals = 0_u8;
    for _ in 0..ACCEPTED {
        let socket = match socket::accept(&held.control) {
            Ok(socket) => socket,
            Err(Errno::INTR | Errno::CONNABORTED) => continue,
            Err(Errno::AGAIN) => return,
            // For a moment, or for longer.
            Err(_) if refusals < REFUSED => {
                refusals = refusals.saturating_add(1);
                continue;
            }
            // EMFILE and its like: who waits would wake us for ever. Heard again at the next tick.
            Err(_) => {
                let _ = held.epoll.remove(&held.control);
                return;
            }
        };
        let is_root = socket::is_root(&socket);
        match make_place(&held.clients, is_root) {
            Place::Free => {}
            Place::Of(oldest) => held.dismiss(oldest),
            Place::None => {
                interrupt::waits(|| drop(socket));
                continue;
            }
        }
        welcome(socket, is_root, held);
    }
}

/// Makes a client of a connection; its number.
pub(crate) fn welcome(socket: OwnedFd, is_root: bool, held: &mut Held) -> Option<u64> {
    let number = u32::try_from(held.last_client & u64::from(u32::MAX)).unwrap_or(0).wrapping_add(1);
    held.hear(&socket, Source::Client(number), Tells::While).ok()?;
    held.last_client = u64::from(number);
    held.clients.insert(held.last_client, Client::of(socket, is_root));
    Some(held.last_client)
}

/// Hears the socket again where it was left alone. One that is heard says EEXIST.
pub(crate) fn listen_again(held: &Held) {
    let _ = held.hear(&held.control, Source::Control, Tells::While);
}

/// Where a newcomer goes.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Free,
    /// The place of this one, which is dropped.
    Of(u64),
    None,
}

/// Everybody may ask, but nobody may keep root from asking. An answer never takes longer than a
/// turn, so the oldest is one that has been idle or does not read.
fn make_place(clients: &BTreeMap<u64, Client>, is_root: bool) -> Place {
    if clients.len() < CLIENTS {
        return Place::Free;
    }
    let other = clients.iter().find(|(_, client)| !client.is_root);
    let oldest = other.or_else(|| clients.first_key_value().filter(|_| is_root));
    oldest.map_or(Place::None, |(number, _)| Place::Of(*number))
}

/// Reads what a client says. One that hangs up, or says what is no Varlink, is dropped.
pub(crate) fn read_client(number: u32, may_crash: bool, held: &mut Held) -> Vec<Heard> {
    let id = u64::from(number);
    let Some(client) = held.clients.get_mut(&id) else { return vec![] };
    let alive = match interrupt::waits(|| receive(client)) {
        Ok(is_open) => is_open,
        Err(Errno::AGAIN | Errno::INTR) => true,
        Err(_) => false,
    };
    let mut heard = Vec::new();
    let fits = loop {
        match varlink::take::<Call>(&mut client.inbox) {
            Ok(Some(call)) => heard.push(Heard::of(id, &call, client.is_root, may_crash)),
            Ok(None) => break true,
            Err(_) => break false,
        }
    };
    if !(alive && fits) {
        held.dismiss(id);
        return vec![];
    }
    heard
}

/// Takes what is there; whether more can come. Only root's descriptors are taken, the others are closed.
fn receive(client: &mut Client) -> Result<bool, Errno> {
    if client.is_root {
        let Some(message) = seqpacket::receive(&client.socket, AT_ONCE)? else { return Ok(false) };
        client.inbox.extend(message.bytes);
        client.descriptor = message.descriptor.or(client.descriptor.take());
        return Ok(true);
    }
    let mut bytes = [0; AT_ONCE];
    let read = socket::receive(&client.socket, &mut bytes)?;
    client.inbox.extend_from_slice(bytes.get(..read).unwrap_or_default());
    Ok(read > 0)
}

/// Bytes of one client in one turn.
const AT_ONCE: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn clients(roots: &[bool]) -> BTreeMap<u64, Client> {
        let client = |is_root| {
            let (socket, _) = kubermesh_sys::seqpacket::pair().unwrap();
            Client::of(socket, is_root)
        };
        (1..).zip(roots.iter().map(|is_root| client(*is_root))).collect()
    }

    #[test]
    fn a_full_house_makes_place_by_the_oldest_who_is_not_root() {
        let mut roots = [false; 32];
        assert_eq!(make_place(&clients(&roots[..31]), false), Place::Free);
        assert_eq!(make_place(&clients(&roots), false), Place::Of(1));
        roots[..2].fill(true);
        assert_eq!(make_place(&clients(&roots), false), Place::Of(3));
        assert_eq!(make_place(&clients(&roots), true), Place::Of(3));
    }

    #[test]
    fn nobody_but_root_takes_the_place_of_root() {
        let full = clients(&[true; 32]);
        assert_eq!(make_place(&full, false), Place::None);
        assert_eq!(make_place(&full, true), Place::Of(1));
    }
}
