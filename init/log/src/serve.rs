// SPDX-License-Identifier: Apache-2.0
//! Answers readers: the Varlink interface `org.kubermesh.Log`, one method.
//!
//! A reader that does not read is dropped, never waited for: it can ask again.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};

use kubermesh_node::varlink::{self, Call, FRAME_LIMIT, Reply};
use rustix::event::{PollFd, PollFlags};
use serde_json::json;

use crate::client::{Entries, Query};
use crate::entry::Entry;
use crate::store::Store;

/// Readers at once; a further one waits in the socket's queue.
const READERS: usize = 16;

/// Bytes that a slow reader may be behind.
const BEHIND: usize = 4 << 20;

/// Entries unless asked otherwise, and the most that are answered.
const USUAL: u32 = 1000;
const MOST: u32 = 10_000;

/// All readers.
pub(crate) struct Readers {
    listener: UnixListener,
    readers: Vec<Reader>,
}

struct Reader {
    stream: UnixStream,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    follows: Option<Query>,
    is_done: bool,
}

impl Readers {
    pub(crate) fn over(listener: UnixListener) -> Self {
        Self { listener, readers: Vec::new() }
    }

    /// What to wait for: questions, and room for answers that wait.
    pub(crate) fn waits(&self) -> Vec<PollFd<'_>> {
        let mut all: Vec<PollFd<'_>> = Vec::new();
        if self.readers.len() < READERS {
            all.push(PollFd::new(&self.listener, PollFlags::IN));
        }
        all.extend(self.readers.iter().map(|reader| {
            let mut flags = PollFlags::IN;
            flags.set(PollFlags::OUT, !reader.outbox.is_empty());
            PollFd::new(&reader.stream, flags)
        }));
        all
    }

    /// Takes new readers, their questions, and sends what waits. Never blocks.
    pub(crate) fn serve(&mut self, store: &Store) {
        while self.readers.len() < READERS
            && let Ok((stream, _)) = self.listener.accept()
        {
            if stream.set_nonblocking(true).is_ok() {
                self.readers.push(Reader {
                    stream,
                    inbox: vec![],
                    outbox: vec![],
                    follows: None,
                    is_done: false,
                });
            }
        }
        self.readers.retain_mut(|reader| reader.hear(store) && reader.send());
    }

    /// Tells those who follow.
    pub(crate) fn tell(&mut self, entry: &Entry) {
        for reader in &mut self.readers {
            if reader.follows.as_ref().is_some_and(|query| wants(query, entry)) {
                reader.answer(vec![entry.clone()], true);
            }
        }
        self.readers.retain_mut(Reader::send);
    }
}

impl Reader {
    /// Whether it lives on.
    fn hear(&mut self, store: &Store) -> bool {
        let mut bytes = [0; 4096];
        match self.stream.read(&mut bytes) {
            Ok(0) => return false,
            Ok(length) => self.inbox.extend_from_slice(bytes.get(..length).unwrap_or_default()),
            Err(refusal)
                if matches!(refusal.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => return false,
        }
        loop {
            match varlink::take::<Call>(&mut self.inbox) {
                Ok(Some(call)) => self.asked(&call, store),
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }

    fn asked(&mut self, call: &Call, store: &Store) {
        if call.method != "org.kubermesh.Log.Read" {
            return self
                .refuse("org.varlink.service.MethodNotFound", json!({"method": call.method}));
        }
        let query: Query = match serde_json::from_value(call.parameters.clone()) {
            Ok(query) => query,
            Err(refusal) => {
                let parameters = json!({"parameter": refusal.to_string()});
                return self.refuse("org.varlink.service.InvalidParameter", parameters);
            }
        };
        let lines = query.lines.unwrap_or(USUAL).clamp(1, MOST);
        let found = store.read(usize::try_from(lines).unwrap_or(1), |entry| wants(&query, entry));
        let follows = query.follow && call.more;
        let mut batch = Vec::new();
        let mut room = FRAME_LIMIT / 2;
        for entry in found {
            let size = entry.message.len().saturating_mul(2).saturating_add(256);
            if size > room && !batch.is_empty() {
                self.answer(std::mem::take(&mut batch), true);
                room = FRAME_LIMIT / 2;
            }
            room = room.saturating_sub(size);
            batch.push(entry);
        }
        self.answer(batch, follows);
        self.follows = follows.then_some(query);
    }

    fn answer(&mut self, entries: Vec<Entry>, continues: bool) {
        if let Ok(parameters) = serde_json::to_value(Entries { entries }) {
            self.push(&Reply { parameters, error: None, continues });
        }
    }

    fn refuse(&mut self, error: &str, parameters: serde_json::Value) {
        self.push(&Reply { parameters, error: Some(error.to_owned()), continues: false });
    }

    fn push(&mut self, reply: &Reply) {
        if let Ok(bytes) = varlink::frame(reply) {
            self.outbox.extend_from_slice(&bytes);
        }
        self.is_done |= self.outbox.len() > BEHIND;
    }

    /// Sends what fits; whether the reader lives on.
    fn send(&mut self) -> bool {
        while !self.outbox.is_empty() && !self.is_done {
            match self.stream.write(&self.outbox) {
                Ok(sent) => {
                    self.outbox.drain(..sent.min(self.outbox.len()));
                }
                Err(refusal) if refusal.kind() == ErrorKind::WouldBlock => return true,
                Err(refusal) if refusal.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        !self.is_done
    }
}

fn wants(query: &Query, entry: &Entry) -> bool {
    query.service.as_ref().is_none_or(|service| *service == entry.name)
        && query.priority.is_none_or(|priority| entry.priority <= priority)
}
