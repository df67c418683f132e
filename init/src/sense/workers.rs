// SPDX-License-Identifier: Apache-2.0
//! What workers report, what services print while nobody else reads it, and the newline that
//! says "ready".

use kubermesh_node::channel::{Envelope, MESSAGE_LIMIT, Report, VERSION};
use kubermesh_node::event::Event;
use kubermesh_sys::{Errno, interrupt, pipe, seqpacket};

use crate::events::Events;
use crate::held::Held;

/// Reports of one worker taken in one turn, so that a noisy one does not keep the others waiting.
const REPORTS: usize = 32;

/// What a worker reports now. A closed channel is looked at no more, and left to the worker's end.
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
                interrupt::waits(|| seqpacket::pass(channel));
            }
            Err(Errno::MSGSIZE) => interrupt::waits(|| seqpacket::pass(channel)),
            // It has ended with an order unread, which the kernel tells once, before what it has said (unix(7)).
            Err(Errno::CONNRESET) => {}
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
            pipe::read(reader, &mut bytes).map(|count| bytes.drain(..count).collect())
        }
        other => other,
    };
    match said {
        Ok(bytes) if bytes.contains(&b'\n') => {
            events.push(Event::Ready { service: service.clone(), instance: *instance });
        }
        // No newline yet: what came before it is of no use, and the epoll would tell of it for ever.
        Ok(mut bytes) if !bytes.is_empty() => {
            let _ = pipe::read(reader, &mut bytes);
            return;
        }
        // The epoll told of the run before, which has ended meanwhile.
        Err(Errno::AGAIN | Errno::INTR) => return,
        Ok(_) | Err(_) => {}
    }
    held.newlines.remove(&service);
}

/// A pipe holds 64 KiB (pipe(7)); from three quarters on the oldest is given up, half of it.
const NEARLY_FULL: u64 = 48 * 1024;
const GIVEN_UP: usize = 32 * 1024;

/// So often in one turn: who writes without end must not keep the others waiting.
const HALVES: usize = 4;

/// Gives up the oldest output of a service that nobody reads, before it would block.
pub(crate) fn drain_output(number: u32, held: &Held, events: &mut Events) {
    let Some((service, output)) =
        held.name(number).and_then(|name| held.outputs.get_key_value(&name))
    else {
        return;
    };
    let mut lost: u64 = 0;
    for _ in 0..HALVES {
        // A pipe has sixteen pages, and one that is filled by half is no room for a longer line.
        let has_room = pipe::unread(&output.reader).unwrap_or(0) < NEARLY_FULL
            && pipe::has_room(&output.writer);
        let mut bytes = if has_room { break } else { vec![0; GIVEN_UP] };
        match pipe::read(&output.reader, &mut bytes) {
            Ok(read @ 1..) => lost = lost.saturating_add(read as u64),
            Ok(0) | Err(_) => break,
        }
    }
    if lost > 0 {
        events.push(Event::OutputLost { service: service.clone(), bytes: lost });
    }
}

/// The same for all: of one that sleeps in the middle of a long write the kernel tells nobody.
pub(crate) fn drain_outputs(held: &Held, events: &mut Events) {
    let all = held.outputs.keys().filter(|_| held.keeps_output);
    all.for_each(|service| drain_output(held.number(service), held, events));
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::time::Duration;

    use kubermesh_sys::descriptor::OwnedFd;
    use kubermesh_sys::process;

    use super::*;
    use crate::held::Output;
    use crate::held::tests::{held, started};
    use crate::recorder::tests::recorder;

    fn events() -> Events {
        Events::new(recorder(), VecDeque::new(), 0)
    }

    /// What a script says goes into the pipe; it has ended then.
    fn write(writer: &OwnedFd, script: &str) {
        let pid = started(&["/bin/sh", "-c", script], Some(writer));
        assert!(process::ends_within(pid, Duration::from_secs(60)).unwrap());
        process::reap(pid);
    }

    #[test]
    fn the_last_report_of_a_worker_that_has_read_no_order_is_heard() {
        let (mut held, mut events) = (held(&["light"]), events());
        let (ours, theirs) = seqpacket::pair().unwrap();
        seqpacket::send(&ours, b"an order", None).unwrap();
        let report = Envelope { version: VERSION, body: Report::Pong { number: 7 } };
        seqpacket::send(&theirs, &serde_json::to_vec(&report).unwrap(), None).unwrap();
        drop(theirs);
        let light: kubermesh_node::service::ServiceName = "light".parse().unwrap();
        held.channels.insert(light.clone(), ours);
        read_channel(0, &mut held, &mut events);
        let (_, said, _) = events.next().unwrap();
        assert_eq!(said, Event::Reported { worker: light, report: Report::Pong { number: 7 } });
        assert!(held.channels.is_empty());
    }

    #[test]
    fn a_newline_is_heard_after_other_words_and_after_the_end_of_the_run_before() {
        let (mut held, mut events) = (held(&["web"]), events());
        let web: kubermesh_node::service::ServiceName = "web".parse().unwrap();
        let (reader, writer) = pipe::pair().unwrap();
        held.newlines.insert(web.clone(), (2, reader));
        // The epoll told of the pipe of run 1.
        read_newline(0, &mut held, &mut events);
        write(&writer, "printf up");
        read_newline(0, &mut held, &mut events);
        assert!(events.next().is_none());
        write(&writer, "echo");
        read_newline(0, &mut held, &mut events);
        let (_, said, _) = events.next().unwrap();
        assert_eq!(said, Event::Ready { service: web, instance: 2 });
        assert!(held.newlines.is_empty());
    }

    #[test]
    fn lines_that_fill_pages_by_half_find_room_and_what_is_read_by_another_is_left() {
        let (mut held, mut events) = (held(&["web"]), events());
        let (reader, writer) = pipe::pair().unwrap();
        // Two of them fit no page together (pipe(7)): sixteen fill the pipe.
        write(&writer, "for line in 0 1 2 3 4 5 6 7 8 9 a b c d e f; do printf %2100s x; done");
        assert!(!pipe::has_room(&writer));
        held.outputs.insert("web".parse().unwrap(), Output { reader, writer });
        held.keeps_output = false;
        drain_outputs(&held, &mut events);
        assert!(events.next().is_none());
        held.keeps_output = true;
        drain_outputs(&held, &mut events);
        let (_, lost, _) = events.next().unwrap();
        assert!(matches!(lost, Event::OutputLost { bytes: 32_768, .. }), "{lost:?}");
        assert!(pipe::has_room(&held.outputs.values().next().unwrap().writer));
    }
}
