// SPDX-License-Identifier: Apache-2.0
//! What workers report, what services print while nobody else reads it, and the newline that
//! says "ready".

use kubermesh_node::channel::{Envelope, MESSAGE_LIMIT, Report, VERSION};
use kubermesh_node::event::Event;
use kubermesh_sys::{Errno, pipe, seqpacket};

use crate::events::Events;
use crate::held::Held;

/// Reports of one worker taken in one turn, so that a noisy one does not keep the others waiting.
const REPORTS: usize = 32;

/// What a worker reports now. A closed channel is left to the worker's end.
pub(crate) fn read_channel(number: u32, held: &mut Held, events: &mut Events) {
    let Some(worker) = held.name(number) else { return };
    for _ in 0..REPORTS {
        let Some(channel) = held.channels.get(&worker) else { return };
        match seqpacket::peek(channel, MESSAGE_LIMIT) {
            Ok(Some(bytes)) => {
                // A report of another version or form is no fact; the worker's own log says more.
                if let Ok(Envelope { version: VERSION, body }) =
                    serde_json::from_slice::<Envelope<Report>>(&bytes)
                {
                    events.push(Event::Reported { worker: worker.clone(), report: body });
                }
                seqpacket::pass(channel);
            }
            Err(Errno::MSGSIZE) => seqpacket::pass(channel),
            // The other end is closed: no more to hear, or the epoll would tell of it for ever.
            Ok(None) => {
                held.channels.remove(&worker);
            }
            Err(_) => return,
        }
    }
}

/// A newline on a service's descriptor 3 says that it is up (s6's protocol).
pub(crate) fn read_newline(number: u32, held: &mut Held, events: &mut Events) {
    let Some(service) = held.name(number) else { return };
    let Some((instance, reader)) = held.newlines.get(&service) else { return };
    let said = match pipe::peek(reader) {
        // A copy takes descriptors and memory.
        Err(Errno::MFILE | Errno::NFILE | Errno::NOMEM) => {
            let mut bytes = vec![0; 64];
            pipe::read(reader, &mut bytes).map(|_| bytes)
        }
        other => other,
    };
    if said.is_ok_and(|bytes| bytes.contains(&b'\n')) {
        events.push(Event::Ready { service: service.clone(), instance: *instance });
    }
    held.newlines.remove(&service);
}

/// A pipe holds 64 KiB (pipe(7)); from three quarters on the oldest is given up, half of it.
const NEARLY_FULL: u64 = 48 * 1024;
const GIVEN_UP: usize = 32 * 1024;

/// Gives up the oldest output of a service that nobody reads, before it would block.
pub(crate) fn drain_output(number: u32, held: &Held) -> Option<Event> {
    let service = held.name(number)?;
    let output = held.outputs.get(&service)?;
    if pipe::unread(&output.reader).unwrap_or(0) < NEARLY_FULL {
        return None;
    }
    let mut bytes = vec![0; GIVEN_UP];
    let read = pipe::read(&output.reader, &mut bytes).ok()?;
    Some(Event::OutputLost { service, bytes: u64::try_from(read).ok()? })
}
