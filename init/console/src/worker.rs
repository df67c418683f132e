// SPDX-License-Identifier: Apache-2.0
//! The worker's loop: one poll(2) over PID 1's channel, the health socket, `/dev` and all terminals.
//!
//! It wakes when something happens, and for the deadlines of a question, an answer or a terminal
//! that hung up; a quiet node's console sleeps.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use kubermesh_node::channel::Order;
use kubermesh_node::status::Status;
use kubermesh_worker::{Channel, ChannelError, Health, HealthError};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use rustix::io::Errno;

use crate::find::Ground;
use crate::kernel_log::KernelLog;
use crate::terminal::Terminal;

/// Why the console ended.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// PID 1 is not there.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// Nobody could ask whether it lives.
    #[error(transparent)]
    Health(#[from] HealthError),
    /// SIGTERM cannot be heard.
    #[error("listen for signals")]
    Signals(#[source] nix::Error),
    /// Terminals that come later would not be seen.
    #[error("watch /dev")]
    Watch(#[source] Errno),
    /// poll(2) itself.
    #[error("wait for terminals")]
    Wait(#[source] Errno),
}

/// The console worker, from its start to SIGTERM.
///
/// # Errors
/// What it cannot work without; a terminal that fails is no error.
pub fn run() -> Result<(), ConsoleError> {
    let channel = Channel::inherit()?;
    let signals = hear_term().map_err(ConsoleError::Signals)?;
    kubermesh_worker::start_log("console");
    let health = Health::listen("console")?;
    let ground = Ground::node();
    let devices = watch(&ground).map_err(ConsoleError::Watch)?;
    let mut console = Console { ground, terminals: Vec::new(), status: None };
    console.look_for_terminals(Instant::now());
    kubermesh_worker::say_ready();
    loop {
        if orders_have_ended(&channel, &mut console.status) || is_asked_to_end(&signals) {
            break;
        }
        health.answer();
        if is_changed(&devices) {
            console.look_for_terminals(Instant::now());
        }
        console.turn(Instant::now());
        let others = [channel.as_fd(), health.as_fd(), signals.as_fd(), devices.as_fd()];
        console.wait(&others, None).map_err(ConsoleError::Wait)?;
    }
    console.finish().map_err(ConsoleError::Wait)
}

/// All terminals of this machine.
#[derive(Debug)]
pub(crate) struct Console {
    pub(crate) ground: Ground,
    pub(crate) terminals: Vec<Terminal>,
    pub(crate) status: Option<Status>,
}

impl Console {
    /// Takes up what came and drops what went.
    pub(crate) fn look_for_terminals(&mut self, now: Instant) {
        let paths = self.ground.terminals();
        self.terminals.retain(|terminal| paths.iter().any(|path| path == terminal.path()));
        for path in paths {
            if self.terminals.iter().any(|terminal| terminal.path() == path) {
                continue;
            }
            let below = self.ground.printed_below(&path);
            let place = self.ground.places.join(path.file_name().unwrap_or_default());
            match KernelLog::open(&self.ground.dev.join("kmsg"), &place, below) {
                Ok(log) => {
                    tracing::info!(terminal = %path.display(), "a terminal");
                    self.terminals.push(Terminal::new(&path, &self.ground.control, log, now));
                }
                Err(refusal) => tracing::error!(%refusal, "read the kernel's log"),
            }
        }
    }

    /// A turn of each terminal.
    pub(crate) fn turn(&mut self, now: Instant) {
        for terminal in &mut self.terminals {
            terminal.turn(self.status.as_ref(), now);
        }
    }

    /// Waits until one of `others` or a terminal has something to do, `most` at most.
    pub(crate) fn wait(
        &self,
        others: &[BorrowedFd<'_>],
        most: Option<Duration>,
    ) -> Result<(), Errno> {
        let now = Instant::now();
        let woken = self.terminals.iter().filter_map(|terminal| terminal.wake_at(now)).min();
        let until = woken.map(|until| until.saturating_duration_since(now));
        let timeout = until.into_iter().chain(most).min();
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let own = self.terminals.iter().flat_map(Terminal::interests);
        let mut fds: Vec<PollFd<'_>> = others
            .iter()
            .map(|fd| (*fd, PollFlags::IN))
            .chain(own)
            .map(|(fd, wish)| PollFd::from_borrowed_fd(fd, wish))
            .collect();
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(refusal) => Err(refusal),
        }
    }

    /// Says what there is to say still, for a second; people read here how the node went down.
    fn finish(&mut self) -> Result<(), Errno> {
        let end = Instant::now().checked_add(LAST_WORDS).unwrap_or_else(Instant::now);
        loop {
            let now = Instant::now();
            self.turn(now);
            if self.terminals.iter().all(Terminal::is_done) {
                return Ok(());
            }
            if now >= end {
                self.terminals.iter_mut().for_each(Terminal::give_up);
                return Ok(());
            }
            self.wait(&[], Some(end.saturating_duration_since(now)))?;
        }
    }
}

/// Takes PID 1's orders; whether there will be no more.
fn orders_have_ended(channel: &Channel, status: &mut Option<Status>) -> bool {
    loop {
        match channel.receive() {
            Ok(Some((Order::Status(new), _))) => *status = Some(new),
            Ok(Some(_)) => {}
            Ok(None) => return false,
            Err(refusal @ ChannelError::Foreign { .. }) => tracing::warn!(%refusal, "an order"),
            Err(refusal) => {
                tracing::info!(%refusal, "the console ends");
                return true;
            }
        }
    }
}

fn hear_term() -> Result<SignalFd, nix::Error> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.thread_block()?;
    SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
}

fn is_asked_to_end(signals: &SignalFd) -> bool {
    matches!(signals.read_signal(), Ok(Some(_)))
}

/// devtmpfs tells inotify of the nodes that the kernel makes, so a USB serial adapter is news.
fn watch(ground: &Ground) -> Result<OwnedFd, Errno> {
    let devices = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC)?;
    let events = inotify::WatchFlags::CREATE | inotify::WatchFlags::DELETE;
    inotify::add_watch(&devices, &ground.dev, events)?;
    Ok(devices)
}

/// Whether anything came or went; what it was is looked for anew, so an overrun loses nothing.
fn is_changed(devices: &OwnedFd) -> bool {
    let mut events = [0; 4096];
    let mut is_changed = false;
    while let Ok(1..) = rustix::io::read(devices, &mut events) {
        is_changed = true;
    }
    is_changed
}

/// Of the three that the service file allows for the end.
const LAST_WORDS: Duration = Duration::from_secs(1);
