// SPDX-License-Identifier: Apache-2.0
//! What is taken, what is kept, what is lost: the queue, the writer behind it, and how both are.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use kubermesh_node::channel::{LogReport, Wrong};
use kubermesh_node::time::{Span, Time};
use rustix::time::ClockId;

use crate::entry::{Entry, Priority, Source};
use crate::ground::Ground;
use crate::intake::Slice;
use crate::read::View;
use crate::store::{Ask, Queue, Told, Writer, WriterError};

/// Keeps entries, and knows how that goes.
#[derive(Debug)]
pub(crate) struct Keeper {
    queue: Queue,
    writer: Writer,
    boot: String,
    last_number: u64,
    entries: u64,
    lost: u64,
    folder: Option<PathBuf>,
    is_on_state: bool,
    kernel_next: u64,
    /// What the writer does, and since when.
    doing: Option<(Doing, Time)>,
    look_at: Option<Time>,
    retry_at: Option<Time>,
    dirty_since: Option<Time>,
    settled: Settled,
    place_fault: Option<String>,
    write_fault: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    Look,
    Write { urgent: bool },
    Sync,
}

/// Whether a STATE that is not mounted may still come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Settled {
    /// Storage is at work; on the first boot it may make STATE for minutes.
    No,
    /// It has reported, and we have not looked since.
    Told,
    Yes,
}

impl Keeper {
    pub(crate) fn start(ground: Ground) -> Result<Self, WriterError> {
        let boot = ground.boot_id();
        Ok(Self {
            queue: Queue::default(),
            writer: Writer::start(ground)?,
            boot,
            last_number: 0,
            entries: 0,
            lost: 0,
            folder: None,
            is_on_state: false,
            kernel_next: 0,
            doing: None,
            look_at: Some(Time::default()),
            retry_at: None,
            dirty_since: None,
            settled: Settled::No,
            place_fault: None,
            write_fault: None,
        })
    }

    /// Takes what a source gave.
    pub(crate) fn take(&mut self, slice: Slice) {
        self.lost = self.lost.saturating_add(slice.dropped);
        slice.entries.into_iter().for_each(|entry| self.push(entry));
    }

    /// Our own word. It needs no descriptor: nobody could empty that but we.
    fn remark(&mut self, priority: Priority, words: &str) {
        self.push(Entry::said(Source::Log, "log", priority, words.as_bytes()));
    }

    fn push(&mut self, mut entry: Entry) {
        let microseconds = microseconds();
        let now = Time::from_millis(microseconds / 1000);
        if entry.time == Time::default() {
            entry.time = now;
        }
        entry.wall = wall().saturating_sub(now.since(entry.time).as_millis());
        // Microseconds since the start: they rise over a restart of ours without being remembered.
        self.last_number = microseconds.max(self.last_number.saturating_add(1));
        entry.number = self.last_number;
        self.queue.push(entry);
    }

    /// Sources may give more. Not while a disk that does answer has work for some milliseconds:
    /// until then pipes and sockets keep it.
    pub(crate) fn may_take(&self, now: Time) -> bool {
        self.queue.has_room() || self.write_fault.is_some() || self.is_late(now, SLOW_AFTER)
    }

    /// The place may have changed.
    pub(crate) fn look(&mut self, now: Time) {
        self.look_at = Some(now);
    }

    /// Storage has reported: what is not mounted now will not be.
    pub(crate) fn settle(&mut self, now: Time) {
        if self.settled == Settled::No {
            self.settled = Settled::Told;
        }
        self.look(now);
    }

    /// Hears the writer and gives it more to do. True: the store is in another folder now.
    pub(crate) fn advance(&mut self, now: Time) -> Result<bool, WriterError> {
        let mut has_moved = false;
        if let Some(told) = self.writer.take()? {
            has_moved = self.hear(told, now);
        }
        if self.is_late(now, HANGS_AFTER) {
            let words = "the disk does not answer".to_owned();
            self.tell_write_fault(Some(words));
        }
        if !self.writer.is_busy()
            && let Some((doing, ask)) = self.next_ask(now)
        {
            self.doing = Some((doing, now));
            self.writer.ask(ask)?;
        }
        Ok(has_moved)
    }

    fn next_ask(&mut self, now: Time) -> Option<(Doing, Ask)> {
        if self.look_at.is_some_and(|at| at <= now) {
            self.look_at = None;
            return Some((Doing::Look, Ask::Look));
        }
        if self.retry_at.is_none_or(|at| at <= now)
            && let Some(ask) = self.queue.batch(self.kernel_next)
        {
            let urgent = matches!(ask, Ask::Write { urgent: true, .. });
            // A crowd of errors waits for the disk once a second, not once each.
            return Some((Doing::Write { urgent }, ask));
        }
        if self.dirty_since.is_some_and(|since| since.after(SYNC_AFTER) <= now) {
            return Some((Doing::Sync, Ask::Sync));
        }
        None
    }

    fn hear(&mut self, told: Told, now: Time) -> bool {
        let doing = self.doing.take().map(|(doing, _)| doing);
        let has_moved = self.folder.is_some() && self.folder != told.folder;
        if told.is_on_state && !self.is_on_state {
            self.remark(Priority::INFO, "the log is kept on STATE from now on");
        }
        self.folder = told.folder;
        self.is_on_state = told.is_on_state;
        self.kernel_next = told.kernel_next;
        match (doing, told.outcome) {
            (Some(Doing::Look), outcome) => {
                // One that had begun before storage reported may have come too early.
                if self.settled == Settled::Told && self.look_at.is_none() {
                    self.settled = Settled::Yes;
                }
                self.look_at = outcome.is_err().then(|| now.after(LOOK_AGAIN)).or(self.look_at);
                self.place_fault = outcome.err();
            }
            (Some(Doing::Write { urgent }), Ok(())) => {
                self.entries = self.entries.saturating_add(self.queue.kept());
                self.dirty_since = if urgent { None } else { self.dirty_since.or(Some(now)) };
                self.recover();
            }
            (Some(Doing::Sync) | None, Ok(())) => {
                self.dirty_since = None;
                self.recover();
            }
            (Some(Doing::Write { .. } | Doing::Sync) | None, Err(words)) => {
                self.queue.refused();
                self.dirty_since = None;
                self.retry_at = Some(now.after(RETRY_AFTER));
                self.tell_write_fault(Some(words));
            }
        }
        has_moved
    }

    fn recover(&mut self) {
        self.retry_at = None;
        self.tell_write_fault(None);
    }

    /// Remarks on changes alone: each remark is an entry, and entries may be what fails.
    fn tell_write_fault(&mut self, fault: Option<String>) {
        match (&self.write_fault, &fault) {
            (None, Some(words)) => self.remark(Priority::WARNING, &format!("cannot keep: {words}")),
            (Some(_), None) => self.remark(Priority::INFO, "what is logged is kept again"),
            (None, None) | (Some(_), Some(_)) => {}
        }
        self.write_fault = fault;
    }

    fn is_late(&self, now: Time, patience: Span) -> bool {
        self.doing.is_some_and(|(_, since)| since.after(patience) <= now)
    }

    /// When [`Self::advance`] has something to do though nothing happens.
    pub(crate) fn due(&self, now: Time) -> Option<Time> {
        let late = |patience: Span| {
            let at = self.doing.map(|(_, since)| since.after(patience));
            at.filter(|at| *at > now)
        };
        let idle = |at: Option<Time>| at.filter(|_| !self.writer.is_busy());
        let full = if self.queue.has_room() { None } else { late(SLOW_AFTER) };
        let retry = if self.queue.is_empty() { None } else { self.retry_at };
        let sync = self.dirty_since.map(|since| since.after(SYNC_AFTER));
        [idle(self.look_at), idle(retry), idle(sync), full, late(HANGS_AFTER)]
            .into_iter()
            .flatten()
            .min()
    }

    /// Everything is on its place.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.queue.is_empty() && self.dirty_since.is_none() && self.doing.is_none()
    }

    /// We end: what waits for its time does not.
    pub(crate) fn hurry(&mut self) {
        self.retry_at = None;
        self.dirty_since = self.dirty_since.map(|_| Time::default());
    }

    /// Where the kernel's ring goes on; none before the writer has seen what is kept.
    pub(crate) fn kernel_next(&self) -> Option<u64> {
        self.folder.as_ref().map(|_| self.kernel_next)
    }

    /// What earlier runs kept has been found and can be read: a reader before that would miss it, and waits.
    /// Not for a disk that hangs.
    pub(crate) fn knows_the_past(&self, now: Time) -> bool {
        let is_found = self.folder.is_some() || self.place_fault.is_some();
        (is_found && !self.is_late(now, SLOW_AFTER)) || self.is_late(now, HANGS_AFTER)
    }

    /// How the store is.
    pub(crate) fn report(&self) -> LogReport {
        let subject = if self.is_on_state { "log on STATE" } else { "log in memory" };
        let wrong = |sentence: String| Wrong { subject: subject.to_owned(), sentence };
        let write = self.write_fault.clone().map(|words| format!("cannot be written: {words}"));
        let place =
            self.place_fault.clone().map(|words| format!("cannot be kept on STATE: {words}"));
        let unmounted = (!self.is_on_state && place.is_none() && self.settled == Settled::Yes)
            .then(|| "will not outlive this boot: STATE is not mounted".to_owned());
        let faults = [write, place, unmounted].into_iter().flatten().map(wrong).collect();
        let dropped = self.lost.saturating_add(self.queue.dropped);
        LogReport { entries: self.entries, dropped, faults }
    }

    /// What there is to read: without the segments while their disk does not answer, since it would hold
    /// whoever reads from it too.
    pub(crate) fn view(&self, now: Time) -> View<'_> {
        let folder = self.folder.as_deref().filter(|_| !self.is_late(now, SLOW_AFTER));
        View { folder, queue: &self.queue, boot: &self.boot }
    }

    /// The writer's bell.
    pub(crate) const fn writer(&self) -> &Writer {
        &self.writer
    }
}

/// Now, CLOCK_BOOTTIME.
pub(crate) fn now() -> Time {
    Time::from_millis(microseconds() / 1000)
}

fn microseconds() -> u64 {
    let now = rustix::time::clock_gettime(ClockId::Boottime);
    let part = |value: i64| u64::try_from(value).unwrap_or_default();
    part(now.tv_sec).saturating_mul(1_000_000).saturating_add(part(now.tv_nsec) / 1000)
}

fn wall() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// What a power cut may take of what is no error.
const SYNC_AFTER: Span = Span::from_secs(5);
/// A full disk is mended by a person, or by what filled it.
const RETRY_AFTER: Span = Span::from_secs(10);
/// A read-only stick stays so until somebody pulls it.
const LOOK_AGAIN: Span = Span::from_secs(60);
/// Until then those who log may wait for the disk: some milliseconds are usual.
const SLOW_AFTER: Span = Span::from_secs(1);
/// A slow stick may take seconds to erase a block.
const HANGS_AFTER: Span = Span::from_secs(10);
