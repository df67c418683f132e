// SPDX-License-Identifier: Apache-2.0
//! One reader: his call, his place in the log, the bytes that are on their way to him.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use kubermesh_node::brief::brief;
use kubermesh_node::time::{Span, Time};
use kubermesh_node::varlink::{self, Call, Reply};
use serde_json::{Value, json};

use super::cursor::{Boots, Cursor, Seek};
use super::query::Query;
use super::server::View;
use crate::entry::Entry;

/// One reader.
#[derive(Debug)]
pub(crate) struct Conversation {
    stream: UnixStream,
    input: Vec<u8>,
    output: Vec<u8>,
    reading: Option<Reading>,
    /// He takes nothing since then.
    stuck_since: Option<Time>,
    pub(crate) has_ended: bool,
}

#[derive(Debug)]
struct Reading {
    query: Query,
    boots: Boots,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Sought(Seek),
    Found(Cursor),
}

impl Conversation {
    pub(crate) const fn with(stream: UnixStream) -> Self {
        Self {
            stream,
            input: Vec::new(),
            output: Vec::new(),
            reading: None,
            stuck_since: None,
            has_ended: false,
        }
    }

    /// Bytes wait for him to take them.
    pub(crate) const fn is_full(&self) -> bool {
        !self.output.is_empty()
    }

    /// When he is let go of unless he takes something.
    pub(crate) fn due(&self) -> Option<Time> {
        self.stuck_since.map(|since| since.after(PATIENCE))
    }

    /// The store has moved: his place is counted in numbers from here on.
    pub(crate) fn begin_again(&mut self, view: &View<'_>) {
        let Some(reading) = &mut self.reading else { return };
        match &reading.place {
            Place::Found(cursor) => {
                reading.place = Place::Found(Cursor::at_start(cursor.passed()));
            }
            Place::Sought(_) => *reading = Reading::begin(reading.query.clone(), view),
        }
    }

    /// Hears what he asks.
    pub(crate) fn hear(&mut self, view: &View<'_>) {
        let mut bytes = [0; 4096];
        match self.stream.read(&mut bytes) {
            Ok(0) => self.has_ended = true,
            Ok(read) => self.input.extend_from_slice(bytes.get(..read).unwrap_or_default()),
            Err(refusal) if refusal.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.has_ended = true,
        }
        while !self.has_ended && self.reading.is_none() {
            match varlink::take::<Call>(&mut self.input) {
                Ok(Some(call)) => self.answer(call, view),
                Ok(None) => break,
                Err(_) => self.has_ended = true,
            }
        }
        // One who calls on and on while his answer is being read is no reader of ours.
        self.has_ended |= self.input.len() > varlink::FRAME_LIMIT;
    }

    fn answer(&mut self, call: Call, view: &View<'_>) {
        if call.oneway {
            // All there is here are answers, and this one wants none.
            return;
        }
        let nothing = json!({});
        match call.method.as_str() {
            "org.varlink.service.GetInfo" => {
                self.say(&Reply { parameters: info(), ..Reply::default() })
            }
            "org.varlink.service.GetInterfaceDescription" => {
                let parameters = json!({ "description": DESCRIPTION });
                self.say(&Reply { parameters, ..Reply::default() });
            }
            READ if !call.more => self.refuse("org.varlink.service.ExpectedMore", nothing),
            READ => {
                let given = if call.parameters.is_null() { nothing } else { call.parameters };
                match serde_json::from_value::<Query>(given) {
                    Err(refusal) => {
                        self.refuse(INVALID, json!({ "parameter": brief(&refusal.to_string()) }))
                    }
                    Ok(query) => match query.wrong() {
                        Some(wrong) => self.refuse(INVALID, json!({ "parameter": wrong })),
                        None => self.reading = Some(Reading::begin(query, view)),
                    },
                }
            }
            other => {
                self.refuse("org.varlink.service.MethodNotFound", json!({ "method": brief(other) }))
            }
        }
    }

    fn refuse(&mut self, error: &str, parameters: Value) {
        self.say(&Reply { parameters, error: Some(error.to_owned()), continues: false });
    }

    fn say(&mut self, reply: &Reply) {
        match varlink::frame(reply) {
            Ok(bytes) => self.output.extend(bytes),
            Err(_) => self.has_ended = true,
        }
    }

    /// Goes on with his answer for a bounded while. True: there is more to do at once.
    pub(crate) fn go_on(&mut self, view: &View<'_>, chunk: &mut Vec<u8>, now: Time) -> bool {
        self.flush(now);
        for _ in 0..CHUNKS_A_TURN {
            if self.is_full() || self.has_ended {
                return false;
            }
            let Some(reading) = &mut self.reading else { return false };
            let (entries, at_end) = reading.next(view, chunk);
            let continues = !at_end || reading.query.follow == Some(true);
            if !continues {
                self.reading = None;
            }
            if !entries.is_empty() || !continues {
                let parameters = json!({ "entries": entries });
                self.say(&Reply { parameters, error: None, continues });
                self.flush(now);
            }
            if at_end {
                return false;
            }
        }
        true
    }

    /// Writes what he takes.
    fn flush(&mut self, now: Time) {
        while !self.output.is_empty() && !self.has_ended {
            match self.stream.write(&self.output) {
                Ok(written) => {
                    self.output.drain(..written.min(self.output.len()));
                    self.stuck_since = None;
                }
                Err(refusal) if refusal.kind() == ErrorKind::WouldBlock => {
                    self.stuck_since = self.stuck_since.or(Some(now));
                    break;
                }
                Err(_) => self.has_ended = true,
            }
        }
        self.has_ended |= self.due().is_some_and(|due| due <= now);
    }
}

impl Reading {
    fn begin(query: Query, view: &View<'_>) -> Self {
        let boots = Boots::of(query.boot.as_deref(), view.boot, view.folder);
        let unwritten: Vec<u64> = view
            .queue
            .after(0)
            .filter(|entry| boots.hold(view.boot) && query.wants(entry))
            .map(|entry| entry.number)
            .collect();
        let wanted = query.lines.map(usize::from);
        let place = match wanted.map(|wanted| (wanted, wanted.saturating_sub(unwritten.len()))) {
            None => Place::Found(Cursor::at_start(0)),
            Some((wanted, 0)) => {
                let first = unwritten.iter().rev().nth(wanted.saturating_sub(1));
                let passed = first.map_or(0, |number| number.saturating_sub(1));
                Place::Found(Cursor::at_start(passed))
            }
            Some((_, wanted)) => Place::Sought(Seek::back(view.folder, wanted)),
        };
        Self { query, boots, place }
    }

    /// Some entries, and whether these were the last for now.
    fn next(&mut self, view: &View<'_>, chunk: &mut Vec<u8>) -> (Vec<Value>, bool) {
        let mut reply = Filling::default();
        let cursor = match (&mut self.place, view.folder) {
            (Place::Sought(seek), Some(folder)) => {
                if let Some(found) = seek.step(folder, &self.boots, &self.query, chunk) {
                    self.place = Place::Found(found);
                }
                return (reply.entries, false);
            }
            (Place::Sought(_), None) => {
                self.place = Place::Found(Cursor::at_start(0));
                return (reply.entries, false);
            }
            (Place::Found(cursor), _) => cursor,
        };
        let query = &self.query;
        if let Some(folder) = view.folder
            && cursor.read(folder, (&self.boots, view.boot), chunk, |entry| reply.add(query, entry))
        {
            return (reply.entries, false);
        }
        if !self.boots.hold(view.boot) {
            return (reply.entries, true);
        }
        for entry in view.queue.after(cursor.passed()) {
            let mut copy = entry.clone();
            view.boot.clone_into(&mut copy.boot);
            if !reply.add(query, copy) {
                return (reply.entries, false);
            }
            cursor.pass(entry.number);
        }
        (reply.entries, true)
    }
}

/// A reply that is being filled.
#[derive(Default)]
struct Filling {
    entries: Vec<Value>,
    bytes: usize,
}

impl Filling {
    /// False: it has no room for this one.
    fn add(&mut self, query: &Query, entry: Entry) -> bool {
        if !query.wants(&entry) {
            return true;
        }
        if self.bytes > REPLY_BYTES {
            return false;
        }
        let fields = entry.fields.iter();
        let fields = fields.fold(0_usize, |sum, (key, value)| {
            sum.saturating_add(key.len()).saturating_add(value.len()).saturating_add(6)
        });
        let size = entry.message.len().saturating_add(fields).saturating_add(300);
        self.bytes = self.bytes.saturating_add(size);
        self.entries.extend(serde_json::to_value(entry));
        true
    }
}

impl AsFd for Conversation {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn info() -> Value {
    json!({
        "vendor": "Kubermesh", "product": "kubermesh log", "version": env!("CARGO_PKG_VERSION"),
        "url": "", "interfaces": ["org.varlink.service", "org.kubermesh.Log"],
    })
}

const READ: &str = "org.kubermesh.Log.Read";
const INVALID: &str = "org.varlink.service.InvalidParameter";
/// The interface in Varlink's own language.
const DESCRIPTION: &str = include_str!("../org.kubermesh.Log.varlink");
/// A reply with one entry more than this, each byte doubled by JSON, still is within a frame.
const REPLY_BYTES: usize = 4 * 1024;
/// Chunks of 64 KiB: what is logged meanwhile waits some milliseconds.
const CHUNKS_A_TURN: usize = 4;
/// A person who scrolls back has a pager that reads on; what stands still so long is stopped.
const PATIENCE: Span = Span::from_secs(10);
