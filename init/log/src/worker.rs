// SPDX-License-Identifier: Apache-2.0
//! The worker's loop: one poll(2) over PID 1's channel, all sources, all readers and the writer.

use std::fs::File;

use kubermesh_node::channel::{LogReport, Order, Report, Wrong};
use kubermesh_node::time::{Span, Time};
use kubermesh_sys::signals::{Came, Signals};
use kubermesh_worker::{Channel, ChannelError, Health, HealthError};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use std::os::fd::AsFd;

use crate::ground::Ground;
use crate::intake::{Datagrams, Kernel, Language, Outputs, Slice};
use crate::keeper::{Keeper, now};
use crate::read::{Server, ServerError};
use crate::store::WriterError;

/// Why the log worker ended. PID 1 starts it again, and keeps every pipe meanwhile.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// PID 1 is not there.
    #[error("talk to PID 1")]
    Channel(#[from] ChannelError),
    /// Nobody could ask whether it lives.
    #[error("offer the log worker's health")]
    Health(#[from] HealthError),
    /// SIGTERM cannot be heard.
    #[error("take signals from a descriptor")]
    Signals(#[source] nix::Error),
    /// The thread that waits for the disk.
    #[error("keep the log")]
    Writer(#[from] WriterError),
    /// Nobody could read.
    #[error("offer the log to readers")]
    Server(#[from] ServerError),
    /// poll(2) itself.
    #[error("wait for something to log")]
    Wait(#[source] Errno),
}

/// The whole worker on a node, until PID 1 closes the channel or asks it to end.
///
/// # Errors
/// What it cannot work without. A source that is missing is a fault that it reports.
pub fn run() -> Result<(), LogError> {
    let channel = Channel::inherit()?;
    let signals = Signals::open().map_err(LogError::Signals)?;
    let health = Health::listen("log")?;
    run_on(Ground::node(), channel, Some(signals), Some(health))
}

/// The same on any ground: a test brings its own channel, and neither signals nor health.
///
/// # Errors
/// As [`run`].
pub fn run_on(
    ground: Ground,
    channel: Channel,
    signals: Option<Signals>,
    health: Option<Health>,
) -> Result<(), LogError> {
    let mut worker = Worker::new(ground, channel, signals, health)?;
    kubermesh_worker::say_ready();
    while worker.turn()? {}
    worker.finish()
}

struct Worker {
    ground: Ground,
    channel: Channel,
    signals: Option<Signals>,
    health: Option<Health>,
    keeper: Keeper,
    server: Server,
    sockets: Vec<Datagrams>,
    kernel: Option<Kernel>,
    kernel_is_sought: bool,
    mounts: Option<File>,
    outputs: Outputs,
    /// Which pipe is first in this turn.
    first: usize,
    /// What cannot be heard.
    deaf: Vec<Wrong>,
    said: Option<(LogReport, Time)>,
    has_more: bool,
}

impl Worker {
    fn new(
        ground: Ground,
        channel: Channel,
        signals: Option<Signals>,
        health: Option<Health>,
    ) -> Result<Self, LogError> {
        let (mut sockets, mut deaf) = (Vec::new(), Vec::new());
        let wanted = [(&ground.journal, Language::Journal), (&ground.syslog, Language::Syslog)];
        for (path, language) in wanted {
            match Datagrams::listen(path, language) {
                Ok(socket) => sockets.push(socket),
                Err(refusal) => deaf.push(wrong(&refusal.to_string(), &refusal)),
            }
        }
        Ok(Self {
            keeper: Keeper::start(ground.clone())?,
            server: Server::listen(&ground.readers)?,
            mounts: File::open(&ground.mounts).ok(),
            ground,
            channel,
            signals,
            health,
            sockets,
            kernel: None,
            kernel_is_sought: true,
            outputs: Outputs::default(),
            first: 0,
            deaf,
            said: None,
            has_more: false,
        })
    }

    /// Waits for something to do and does it. False: somebody asked us to end.
    fn turn(&mut self) -> Result<bool, LogError> {
        let ready = self.wait()?;
        if let Some(health) = &self.health {
            health.answer();
        }
        if ready.mounts {
            self.keeper.look(now());
        }
        // Asked to end first, orders second: what PID 1 handed over before that is read still.
        let is_over = self.is_asked_to_end();
        let goes_on = self.hear_orders()? && !is_over;
        self.has_more = self.take(&ready.outputs);
        if self.keeper.advance(now())? {
            self.server.begin_again(&self.keeper.view(now()));
        }
        self.seek_kernel();
        let now = now();
        if self.keeper.knows_the_past(now) {
            self.has_more |= self.server.turn(&self.keeper.view(now), now);
        }
        self.say()?;
        Ok(goes_on)
    }

    fn wait(&self) -> Result<Ready, LogError> {
        let now = now();
        let takes = self.keeper.may_take(now);
        let mut polled = Vec::with_capacity(32);
        let mut hear = |one, flags| polled.push(PollFd::from_borrowed_fd(one, flags));
        hear(self.channel.as_fd(), PollFlags::IN);
        hear(self.keeper.writer().as_fd(), PollFlags::IN);
        self.signals.iter().for_each(|one| hear(one.as_fd(), PollFlags::IN));
        self.health.iter().for_each(|one| hear(one.as_fd(), PollFlags::IN));
        if self.keeper.knows_the_past(now) {
            self.server.descriptors().for_each(|(one, flags)| hear(one, flags));
        }
        if takes {
            self.sockets.iter().for_each(|one| hear(one.as_fd(), PollFlags::IN));
            self.kernel.iter().for_each(|one| hear(one.as_fd(), PollFlags::IN));
        }
        let fixed = polled.len();
        // proc_mounts(5): a change is urgent data, and an error until it has been polled.
        let mounts = self.mounts.as_ref();
        polled.extend(mounts.map(|one| PollFd::new(one, PollFlags::PRI)));
        if takes {
            let outputs = self.outputs.descriptors();
            polled.extend(outputs.map(|one| PollFd::from_borrowed_fd(one, PollFlags::IN)));
        }
        let patience = self.patience(now);
        match rustix::event::poll(&mut polled, patience.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(refusal) => return Err(LogError::Wait(refusal)),
        }
        let mut late = polled.iter().skip(fixed).map(|one| !one.revents().is_empty());
        let mounts = mounts.is_some() && late.next() == Some(true);
        let outputs = late.enumerate().filter_map(|(number, ready)| ready.then_some(number));
        Ok(Ready { mounts, outputs: outputs.collect() })
    }

    fn patience(&self, now: Time) -> Option<Timespec> {
        if self.has_more {
            return Some(Timespec { tv_sec: 0, tv_nsec: 0 });
        }
        let report = self.said.as_ref().filter(|_| self.is_unsaid());
        let report = report.map(|(_, at)| at.after(SAY_AGAIN));
        let due = [self.keeper.due(now), self.server.due(), report].into_iter().flatten().min()?;
        let milliseconds = due.since(now).as_millis();
        let nanoseconds = (milliseconds % 1000).saturating_mul(1_000_000);
        Some(Timespec {
            tv_sec: i64::try_from(milliseconds / 1000).unwrap_or(i64::MAX),
            tv_nsec: nanoseconds.try_into().unwrap_or_default(),
        })
    }

    fn hear_orders(&mut self) -> Result<bool, LogError> {
        loop {
            match self.channel.receive() {
                Ok(None) => return Ok(true),
                Ok(Some((Order::Output { service }, Some(reader)))) => {
                    if let Err(refusal) = self.outputs.add(service.as_str(), reader) {
                        let subject = format!("output of {service}");
                        self.deaf.push(wrong(&subject, &refusal));
                    }
                }
                Ok(Some((Order::Stored, _))) => self.keeper.settle(now()),
                // An order for another worker, or of a newer PID 1: nothing that we could do.
                Ok(Some(_)) | Err(ChannelError::Foreign { .. }) => {}
                Err(ChannelError::Closed) => return Ok(false),
                Err(refusal) => return Err(refusal.into()),
            }
        }
    }

    fn is_asked_to_end(&mut self) -> bool {
        let Some(signals) = &mut self.signals else { return false };
        std::iter::from_fn(|| signals.take())
            .any(|came| matches!(came, Came::Term | Came::CtrlAltDel))
    }

    /// Takes a slice of each source that has something. True: one of them has more.
    fn take(&mut self, ready: &[usize]) -> bool {
        let (keeper, mut more) = (&mut self.keeper, false);
        if let Some(kernel) = &mut self.kernel {
            more |= take_from(keeper, || kernel.step());
        }
        self.kernel = self.kernel.take().filter(|kernel| !kernel.is_at_end());
        for socket in &mut self.sockets {
            more |= take_from(keeper, || socket.step());
        }
        let outputs = &mut self.outputs;
        self.first = self.first.checked_add(1).filter(|first| *first < ready.len()).unwrap_or(0);
        for number in ready.iter().cycle().skip(self.first).take(ready.len()) {
            more |= take_from(keeper, || outputs.step(*number));
        }
        outputs.let_go();
        more && self.keeper.may_take(now())
    }

    /// Opens the kernel's ring once it is known what of it is kept already.
    fn seek_kernel(&mut self) {
        let Some(next) = self.keeper.kernel_next().filter(|_| self.kernel_is_sought) else {
            return;
        };
        self.kernel_is_sought = false;
        match Kernel::open(&self.ground.kernel, next) {
            Ok(kernel) => self.kernel = Some(kernel),
            Err(refusal) => self.deaf.push(wrong("the kernel's log", &refusal)),
        }
        self.has_more = true;
    }

    fn report(&self) -> LogReport {
        let mut report = self.keeper.report();
        report.faults.extend(self.deaf.iter().cloned());
        report
    }

    /// Something that PID 1 should know has changed. That more entries are kept is no news.
    fn is_unsaid(&self) -> bool {
        let report = self.report();
        self.said
            .as_ref()
            .is_none_or(|(said, _)| said.faults != report.faults || said.dropped != report.dropped)
    }

    fn say(&mut self) -> Result<(), LogError> {
        let now = now();
        let is_time = self.said.as_ref().is_none_or(|(_, at)| at.after(SAY_AGAIN) <= now);
        if !is_time || !self.is_unsaid() {
            return Ok(());
        }
        let report = self.report();
        match self.channel.send(&Report::Log(report.clone())) {
            Ok(()) => self.said = Some((report, now)),
            // PID 1 has ended or is busy: the next turn hears the one and says the other again.
            Err(ChannelError::Closed | ChannelError::Full) => {
                self.said = Some((LogReport { dropped: u64::MAX, ..report }, now));
            }
            Err(refusal) => return Err(refusal.into()),
        }
        Ok(())
    }

    /// Takes what is there, keeps it, and ends.
    fn finish(mut self) -> Result<(), LogError> {
        let deadline = now().after(FINISH_WITHIN);
        let everyone: Vec<usize> = (0..self.outputs.descriptors().count()).collect();
        let mut more = true;
        loop {
            more = more && (self.take(&everyone) || !self.keeper.may_take(now()));
            if !more {
                let begun = Slice { entries: self.outputs.finish(), dropped: 0 };
                self.keeper.take(begun);
            }
            self.keeper.hurry();
            self.keeper.advance(now())?;
            let left = deadline.since(now()).as_millis();
            if left == 0 || self.keeper.is_at_rest() && !more {
                return Ok(());
            }
            let mut bell = [PollFd::new(self.keeper.writer(), PollFlags::IN)];
            let step = Timespec { tv_sec: 0, tv_nsec: if more { 0 } else { 100_000_000 } };
            match rustix::event::poll(&mut bell, Some(&step)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(refusal) => return Err(LogError::Wait(refusal)),
            }
        }
    }
}

struct Ready {
    mounts: bool,
    outputs: Vec<usize>,
}

/// A turn's slice of one source. True: it has more.
fn take_from(keeper: &mut Keeper, mut step: impl FnMut() -> Option<Slice>) -> bool {
    for _ in 0..STEPS_A_TURN {
        if !keeper.may_take(now()) {
            return true;
        }
        match step() {
            Some(slice) => keeper.take(slice),
            None => return false,
        }
    }
    true
}

fn wrong(subject: &str, refusal: &dyn std::error::Error) -> Wrong {
    let cause = refusal.source().map_or_else(|| refusal.to_string(), ToString::to_string);
    Wrong { subject: format!("log: {subject}"), sentence: format!("cannot be heard: {cause}") }
}

/// Half a pipe's worth, some 30 datagrams, 500 records: then the next one's turn.
const STEPS_A_TURN: usize = 32;
/// A status line a second is what a person can read.
const SAY_AGAIN: Span = Span::from_secs(1);
/// Less than `[stop] within` of log.toml: what is not kept by then is on a disk that hangs.
const FINISH_WITHIN: Span = Span::from_secs(3);
