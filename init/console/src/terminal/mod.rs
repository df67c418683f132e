// SPDX-License-Identifier: Apache-2.0
//! One terminal: what goes out on it, what a person types on it, and its coming and going.
//!
//! ```text
//! keys ─► dialogue ─► asking ─► PID 1 ─► lines ─┐
//! /dev/kmsg ─► kernel log ─► (only when the outbox is empty) ┴► outbox ─► the terminal
//! ```
//!
//! Nothing here waits: a terminal that takes nothing keeps its lines, one that hangs up is opened
//! again after a rest. So answers go before a backlog of the log, and a page is never mixed with it.

mod outbox;
mod raw;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kubermesh_node::status::Status;
use rustix::event::PollFlags;
use rustix::io::Errno;
use serde_json::Value;

use crate::answers;
use crate::asking::{AskError, Asking};
use crate::dialogue::{Dialogue, Step, Wish};
use crate::kernel_log::KernelLog;
use outbox::Outbox;

/// A terminal that this machine has, open or hung up for the moment.
#[derive(Debug)]
pub(crate) struct Terminal {
    path: PathBuf,
    control: PathBuf,
    line: Line,
    /// Until the next try to open it, should it hang up now.
    rest: Duration,
    outbox: Outbox,
    log: KernelLog,
    dialogue: Dialogue,
    asking: Option<(Wish, Asking)>,
}

#[derive(Debug)]
enum Line {
    Open(OwnedFd),
    Gone { again_at: Instant },
}

impl Terminal {
    /// A terminal that [`Terminal::turn`] will open.
    pub(crate) fn new(path: &Path, control: &Path, log: KernelLog, now: Instant) -> Self {
        let mut outbox = Outbox::default();
        outbox.push("Kubermesh console. Press s for status, h for help.");
        Self {
            path: path.to_owned(),
            control: control.to_owned(),
            line: Line::Gone { again_at: now },
            rest: SHORTEST_REST,
            outbox,
            log,
            dialogue: Dialogue::new(now),
            asking: None,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What to poll for.
    pub(crate) fn interests(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        let Line::Open(line) = &self.line else { return Vec::new() };
        let mut interests = Vec::with_capacity(3);
        if self.outbox.is_empty() {
            interests.push((line.as_fd(), PollFlags::IN));
            interests.extend(self.log.interest().map(|log| (log, PollFlags::IN)));
        } else {
            // Without the log: poll(2) tells of its overruns also to those who did not ask.
            interests.push((line.as_fd(), PollFlags::IN | PollFlags::OUT));
        }
        interests.extend(self.asking.as_ref().and_then(|(_, asking)| asking.interest()));
        interests
    }

    /// When to call [`Terminal::turn`] at the latest.
    pub(crate) fn wake_at(&self, now: Instant) -> Option<Instant> {
        match &self.line {
            Line::Gone { again_at } => Some(*again_at),
            Line::Open(_) => {
                let asking = self.asking.as_ref().map(|(_, asking)| asking.wake_at(now));
                asking.into_iter().chain(self.dialogue.wake_at()).min()
            }
        }
    }

    /// Nothing is left to write, or nobody is there to read it.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.line, Line::Gone { .. }) || self.outbox.is_empty()
    }

    /// Does all that can be done without waiting. `status` is PID 1's last word.
    pub(crate) fn turn(&mut self, status: Option<&Status>, now: Instant) {
        if let Line::Gone { again_at } = self.line
            && again_at <= now
        {
            self.open(now);
        }
        let outcome = self.listen(status, now).and_then(|()| {
            self.advance(status, now);
            for line in self.dialogue.expire(now).into_iter().flatten() {
                self.outbox.push(&line);
            }
            self.write()
        });
        if let Err(refusal) = outcome {
            self.hang_up(refusal, now);
        }
    }

    /// Throws away what a terminal that takes nothing still holds: its close(2) would wait for
    /// that to drain, up to half a minute (serial drivers' closing_wait).
    pub(crate) fn give_up(&mut self) {
        if let Line::Open(line) = &self.line
            && !self.outbox.is_empty()
        {
            let _ = rustix::termios::tcflush(line, rustix::termios::QueueSelector::OFlush);
        }
    }

    fn open(&mut self, now: Instant) {
        match raw::open(&self.path) {
            Ok(line) => {
                self.outbox.start_again();
                self.line = Line::Open(line);
            }
            Err(refusal) => self.hang_up(refusal, now),
        }
    }

    /// Whoever was there is gone: what he asked is dropped. What was to be said is kept.
    fn hang_up(&mut self, refusal: Errno, now: Instant) {
        tracing::debug!(terminal = %self.path.display(), %refusal, rest = ?self.rest, "hung up");
        self.asking = None;
        self.dialogue = Dialogue::new(now);
        self.line = Line::Gone { again_at: now.checked_add(self.rest).unwrap_or(now) };
        self.rest = self.rest.saturating_mul(2).min(LONGEST_REST);
    }

    fn listen(&mut self, status: Option<&Status>, now: Instant) -> Result<(), Errno> {
        let Line::Open(line) = &self.line else { return Ok(()) };
        let mut keys = [0; 256];
        let length = match rustix::io::read(line, &mut keys) {
            Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
            // The end of a file means a hangup: vhangup(2), the other side of a pty closed.
            Ok(0) => return Err(Errno::IO),
            Ok(length) => length,
            Err(refusal) => return Err(refusal),
        };
        self.rest = SHORTEST_REST;
        for key in keys.iter().take(length) {
            match self.dialogue.key(*key, now) {
                Some(Step::Say(lines)) => lines.iter().for_each(|line| self.outbox.push(line)),
                // One thing after the other: what is asked meanwhile is not asked.
                Some(Step::Ask(wish)) if self.asking.is_none() => {
                    let calls = answers::calls(&wish);
                    let asking = Asking::new(&self.control, calls, PATIENCE, now);
                    self.asking = Some((wish, asking));
                }
                Some(Step::Ask(_)) | None => {}
            }
        }
        self.advance(status, now);
        Ok(())
    }

    fn advance(&mut self, status: Option<&Status>, now: Instant) {
        let Some((wish, mut asking)) = self.asking.take() else { return };
        let lines = match asking.advance(now) {
            Ok(None) => {
                self.asking = Some((wish, asking));
                return;
            }
            Ok(Some(answers)) => self.answered(&wish, &answers, now),
            Err(refusal) => without_answer(&refusal, status),
        };
        for line in lines {
            self.outbox.push(&line);
        }
    }

    fn answered(&mut self, wish: &Wish, answers: &[Value], now: Instant) -> Vec<String> {
        let lines = if *wish == Wish::Choice {
            answers::names(answers).map(|names| self.dialogue.choose(names, now))
        } else {
            answers::lines(wish, answers)
        };
        let mut lines =
            lines.unwrap_or_else(|refusal| vec![format!("PID 1 is of another version: {refusal}")]);
        if *wish == Wish::Troubles {
            lines.extend(self.log.troubles().map(|trouble| format!("  {trouble}")));
            if lines.is_empty() {
                lines.push("No errors.".to_owned());
            }
        }
        lines
    }

    fn write(&mut self) -> Result<(), Errno> {
        let Line::Open(line) = &self.line else { return Ok(()) };
        let rest = &mut self.rest;
        for _ in 0..RECORDS_A_TURN {
            self.outbox.send(|bytes| {
                let sent = rustix::io::write(line, bytes)?;
                *rest = SHORTEST_REST;
                // A terminal that takes nothing and says so by 0 must not turn this into a circle.
                if sent == 0 { Err(Errno::AGAIN) } else { Ok(sent) }
            })?;
            if !self.outbox.is_empty() {
                return Ok(());
            }
            let Some(lines) = self.log.take() else { return Ok(()) };
            lines.iter().for_each(|line| self.outbox.push(line));
        }
        Ok(())
    }
}

/// Why there is no answer, and what PID 1 said last.
fn without_answer(refusal: &AskError, status: Option<&Status>) -> Vec<String> {
    let cause = std::error::Error::source(refusal).map(|cause| format!(": {cause}"));
    let mut lines = vec![crate::page::clean(&format!("{refusal}{}", cause.unwrap_or_default()))];
    if let Some(status) = status.filter(|_| refusal.is_unreachable()) {
        lines.push(format!("PID 1 last said: {}", crate::page::clean(&status.to_string())));
    }
    lines
}

/// For PID 1's answer; it answers on the next turn of its loop.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between tries to open a terminal that hung up.
const SHORTEST_REST: Duration = Duration::from_secs(1);
/// A terminal whose device stays but which hangs up each time costs next to nothing.
const LONGEST_REST: Duration = Duration::from_secs(30);
/// Then the loop looks at its other duties, the health socket above all.
const RECORDS_A_TURN: usize = 256;

#[cfg(test)]
mod tests;
