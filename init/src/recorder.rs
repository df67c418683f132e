// SPDX-License-Identifier: Apache-2.0
//! What PID 1's next life goes on from after a crash: a memfd with the node as it was, and all that
//! happened since.
//!
//! ```text
//! crashes │ slot 0: head, node, event, event, …  │ slot 1: head, node, event …
//!         │         └ how many events are answered, and how far the next one is
//! ```
//!
//! An event costs one short write; the node is written whole into the other slot when the events
//! have become many. Node and events have checksums, each bound to its slot's sequence: where one is
//! damaged, the record ends before it. The memfd has a number that the next life knows.

use std::collections::VecDeque;
use std::ffi::CStr;
use std::hash::Hasher;

use kubermesh_node::event::Event;
use kubermesh_node::node::Node;
use kubermesh_node::time::{Span, Time};
use kubermesh_sys::descriptor::OwnedFd;
use kubermesh_sys::{Errno, inherited, memory};
use siphasher::sip::SipHasher24;

use crate::again::thrice;
use crate::{kept, written};

/// The memfd and where it is being written to.
pub(crate) struct Recorder {
    memory: OwnedFd,
    sequence: u64,
    /// Bytes of the node in the present slot.
    whole: u64,
    /// Where the next event goes, from the slot's start.
    end: u64,
    answered: u64,
    /// So many effects of the next event were begun, by this life or the last.
    begun: u64,
}

/// What the last life wrote down.
pub(crate) struct Left {
    pub(crate) node: Node,
    /// What happened since, oldest first.
    pub(crate) events: Vec<(Time, Event)>,
    /// So many of them are answered, all effects performed.
    pub(crate) answered: usize,
    /// So many effects of the next one were begun.
    pub(crate) begun: usize,
    /// So many lives have tried that one before the last.
    pub(crate) tries: u64,
}

/// Why there is no record to go on from.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    #[error(
        "there is no record of PID 1's last life: it crashed before it began one, or the record is lost"
    )]
    Absent(#[source] Errno),
    #[error("read the record of PID 1's last life")]
    Read(#[source] Errno),
    #[error("the record of PID 1's last life is damaged")]
    Damaged,
    #[error("the record of PID 1's last life has form {0}, understood is {FORM}")]
    Form(u64),
    #[error("the record of PID 1's last life is of another version")]
    Foreign(#[from] serde_json::Error),
    #[error("the record of PID 1's last life holds an event of another version")]
    ForeignEvent,
    #[error("write the record")]
    Write(#[source] Errno),
}

/// Of the memfd, for who looks at /proc/1/fd.
const NAME: &CStr = c"kubermesh-state";

/// Room for a slot. Only what is written takes memory; a thousand services' nodes are about 1.5 MB.
const SLOT: u64 = 1 << 26;

/// Before the slots: how many crashes there were, then the moments of the last ones.
const CRASHES: u64 = 4096;

/// The form of the record, in the first word of a slot. Another one: another number.
const FORM: u64 = 2;

/// Form, sequence, bytes of the node, checksum; answered, begun, tries. 8 bytes each.
const HEAD: usize = 56;
const PROGRESS: u64 = 32;

/// Bytes and checksum of an event, before it.
const ENTRY: usize = 16;

/// Fewer bytes of events than this are read and stepped through in a millisecond or two.
const SHORT: u64 = 16 * 1024;

/// Crashes are counted within this time.
pub(crate) const CRASH_WINDOW: Span = Span::from_secs(60);

impl Recorder {
    /// A new record.
    pub(crate) fn create(node: &Node) -> Result<Self, RecordError> {
        let memory = memory::create(NAME, kept::RECORD).map_err(RecordError::Write)?;
        let mut made = Self::of(memory);
        made.write_whole(node, &VecDeque::new(), 0, 0)?;
        Ok(made)
    }

    const fn of(memory: OwnedFd) -> Self {
        Self { memory, sequence: 0, whole: 0, end: 0, answered: 0, begun: 0 }
    }

    /// That of the last life.
    pub(crate) fn take_back() -> Result<Self, RecordError> {
        inherited::take_back(kept::RECORD).map(Self::of).map_err(RecordError::Absent)
    }

    /// A [`Recorder::copy`] that whoever started this process gave it as standard input.
    pub(crate) fn take_copy() -> Result<Self, RecordError> {
        inherited::take(0).map(Self::of).map_err(RecordError::Absent)
    }

    /// What [`Recorder::read`] would find, elsewhere.
    pub(crate) fn copy(&self) -> Result<OwnedFd, RecordError> {
        let at = slot(self.sequence);
        let bytes = self.read_bytes(at, self.end)?.ok_or(RecordError::Damaged)?;
        let copy = memory::anonymous(NAME).map_err(RecordError::Write)?;
        memory::write_at(&copy, &bytes, at).map_err(RecordError::Write)?;
        Ok(copy)
    }

    /// Counts a crash; whether there were more than `budget` within [`CRASH_WINDOW`].
    pub(crate) fn count_crash(&mut self, now: Time, budget: u64) -> bool {
        let count = self.word(0).unwrap_or(0).wrapping_add(1);
        self.put(0, &[count]);
        self.put(crash_at(count), &[now.as_millis()]);
        if budget >= CRASHES || count <= budget {
            return false;
        }
        let earlier = self.word(crash_at(count.wrapping_sub(budget))).unwrap_or(0);
        Time::from_millis(earlier).after(CRASH_WINDOW) > now
    }

    /// What the last life wrote down; the newest that is whole.
    pub(crate) fn read(&mut self) -> Result<Left, RecordError> {
        let heads = [self.read_head(0)?, self.read_head(1)?];
        let mut heads: Vec<[u64; 7]> = heads.into_iter().flatten().collect();
        heads.sort_by_key(|[_, sequence, ..]| std::cmp::Reverse(*sequence));
        let mut refusal = RecordError::Damaged;
        for [form, sequence, length, sum, answered, begun, tries] in heads {
            if form != FORM && form != 0 {
                refusal = RecordError::Form(form);
            }
            let node_at = slot(sequence).saturating_add(HEAD as u64);
            let node = self.read_bytes(node_at, length)?.filter(|_| form == FORM);
            let Some(node) = node.filter(|bytes| checksum(sequence, 0, bytes) == sum) else {
                continue;
            };
            let node = serde_json::from_slice(&node)?;
            let events = self.read_events(sequence, length)?;
            self.sequence = sequence;
            let small = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
            let answered = small(answered).min(events.len());
            self.answered = answered as u64;
            return Ok(Left { node, events, answered, begun: small(begun), tries });
        }
        Err(refusal)
    }

    /// Writes an event down.
    pub(crate) fn note(&mut self, now: Time, event: &Event) -> Result<(), RecordError> {
        let bytes = entry(self.sequence, self.end, now, event)?;
        self.write(self.end, &bytes)?;
        self.end = self.end.saturating_add(bytes.len() as u64);
        Ok(())
    }

    /// This effect of the next unanswered event is being performed.
    pub(crate) fn begin(&mut self, number: usize) {
        let begun = u64::try_from(number).unwrap_or(u64::MAX).saturating_add(1);
        // The one that a crash hit keeps how many lives have tried it.
        if begun != self.begun {
            self.begun = begun;
            self.put_progress([self.answered, begun, 0]);
        }
    }

    /// That event is answered.
    pub(crate) fn end(&mut self) {
        self.answered = self.answered.saturating_add(1);
        self.begun = 0;
        self.put_progress([self.answered, 0, 0]);
    }

    /// The events have become many: time for [`Recorder::write_whole`].
    pub(crate) fn is_long(&self) -> bool {
        let events = self.end.saturating_sub(self.whole);
        events > SHORT.max(self.whole / 4)
    }

    /// Writes the node whole, and what it has not answered yet: so many effects of the first of it
    /// were begun, so many lives have tried it.
    pub(crate) fn write_whole(
        &mut self,
        node: &Node,
        waiting: &VecDeque<(Time, Event)>,
        begun: u64,
        tries: u64,
    ) -> Result<(), RecordError> {
        let sequence = self.sequence.wrapping_add(1);
        let body = serde_json::to_vec(node)?;
        let length = body.len() as u64;
        let sum = checksum(sequence, 0, &body);
        let mut bytes = Vec::with_capacity(body.len().saturating_add(HEAD));
        for word in [FORM, sequence, length, sum, 0, begun, tries] {
            bytes.extend_from_slice(&word.to_ne_bytes());
        }
        bytes.extend_from_slice(&body);
        let whole = bytes.len() as u64;
        for (when, event) in waiting {
            bytes.extend(entry(sequence, bytes.len() as u64, *when, event)?);
        }
        // Behind the last one nothing of an earlier use of the slot may look like the next.
        bytes.extend_from_slice(&[0; ENTRY]);
        let end = (bytes.len() as u64).saturating_sub(ENTRY as u64);
        if bytes.len() as u64 > SLOT {
            return Err(RecordError::Write(Errno::FBIG));
        }
        // The head last: where the rest found no room the slot before stays the newest.
        let (head, rest) = bytes.split_at(HEAD);
        let at = slot(sequence);
        memory::write_at(&self.memory, rest, at.saturating_add(HEAD as u64))
            .and_then(|()| memory::write_at(&self.memory, head, at))
            .map_err(RecordError::Write)?;
        (self.sequence, self.whole, self.end, self.answered) = (sequence, whole, end, 0);
        self.begun = begun;
        Ok(())
    }

    fn read_head(&self, odd: u64) -> Result<Option<[u64; 7]>, RecordError> {
        let bytes = self.read_bytes(slot(odd), HEAD as u64)?.unwrap_or_default();
        Ok(words(&bytes).collect::<Vec<u64>>().try_into().ok())
    }

    /// Up to the first one that is not whole: there the last life ended, or it is damaged.
    fn read_events(
        &mut self,
        sequence: u64,
        length: u64,
    ) -> Result<Vec<(Time, Event)>, RecordError> {
        self.whole = length.saturating_add(HEAD as u64);
        self.end = self.whole;
        let mut events = Vec::new();
        loop {
            let at = slot(sequence).saturating_add(self.end);
            let head = self.read_bytes(at, ENTRY as u64)?.unwrap_or_default();
            let mut words = words(&head);
            let (Some(length), Some(sum)) = (words.next(), words.next()) else { break };
            let body_at = at.saturating_add(ENTRY as u64);
            let Some(bytes) = self.read_bytes(body_at, length)?.filter(|_| length > 0) else {
                break;
            };
            if checksum(sequence, self.end, &bytes) != sum {
                break;
            }
            let Some(event) = written::read(&bytes) else { return Err(RecordError::ForeignEvent) };
            events.push(event);
            self.end = self.end.saturating_add(ENTRY as u64).saturating_add(length);
        }
        Ok(events)
    }

    /// None where there are not so many. A refusal is neither that nor damage: what an older state says is not true.
    fn read_bytes(&self, at: u64, length: u64) -> Result<Option<Vec<u8>>, RecordError> {
        let Some(room) = usize::try_from(length).ok().filter(|_| length <= SLOT) else {
            return Ok(None);
        };
        thrice(|| {
            let mut bytes = vec![0; room];
            let read = memory::read_at(&self.memory, &mut bytes, at)?;
            Ok((read == room).then_some(bytes))
        })
        .map_err(RecordError::Read)
    }

    fn write(&self, at: u64, bytes: &[u8]) -> Result<(), RecordError> {
        if at.saturating_add(bytes.len() as u64) > SLOT {
            return Err(RecordError::Write(Errno::FBIG));
        }
        let at = slot(self.sequence).saturating_add(at);
        memory::write_at(&self.memory, bytes, at).map_err(RecordError::Write)
    }

    fn put_progress(&self, words: [u64; 3]) {
        self.put(slot(self.sequence).saturating_add(PROGRESS), &words);
    }

    /// Overwrites words that are there already: it takes no memory, so nothing can go wrong.
    fn put(&self, at: u64, words: &[u64]) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let _ = memory::write_at(&self.memory, &bytes, at);
    }

    fn word(&self, at: u64) -> Option<u64> {
        words(&self.read_bytes(at, 8).ok()??).next()
    }
}

/// Slots are used in turn.
const fn slot(sequence: u64) -> u64 {
    if sequence.is_multiple_of(2) { SLOT } else { SLOT << 1 }
}

/// Where the moment of a crash is, by its number.
const fn crash_at(count: u64) -> u64 {
    CRASHES.saturating_add((count % CRASHES).saturating_mul(8))
}

fn entry(sequence: u64, at: u64, when: Time, event: &Event) -> Result<Vec<u8>, RecordError> {
    let body = written::write(when, event)?;
    let mut bytes = Vec::with_capacity(body.len().saturating_add(ENTRY));
    for word in [body.len() as u64, checksum(sequence, at, &body)] {
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

fn checksum(sequence: u64, at: u64, bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher24::new();
    hasher.write_u64(sequence);
    hasher.write_u64(at);
    hasher.write(bytes);
    hasher.finish()
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.chunks_exact(8).filter_map(|word| word.try_into().ok()).map(u64::from_ne_bytes)
}

#[cfg(test)]
#[path = "recorder/tests.rs"]
pub(crate) mod tests;
