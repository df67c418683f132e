// SPDX-License-Identifier: Apache-2.0
//! A blink(1) in the hand: plugged into a machine's USB socket, pulled out, looked at.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::device::{Device, Kind};
use super::record::{Colour, Led, Record};
use super::seen::Seen;
use super::session::{disconnect, serve};
use super::usb::{Identity, control};

/// A light. Dropped, it is pulled out.
pub struct Blink1 {
    shared: Arc<Shared>,
    stay: Mutex<Option<Stay>>,
}

struct Stay {
    socket: PathBuf,
    thread: JoinHandle<()>,
}

struct Shared {
    identity: Identity,
    born: Instant,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    device: Device,
    /// The wish: the thread of a stay ends when this is false.
    plugged: bool,
    connection: Option<UnixStream>,
    watchers: Vec<Sender<()>>,
}

impl Blink1 {
    /// A new light. The first digit of a serial number tells the model, so `number` is only what follows it.
    pub fn new(kind: Kind, number: u32) -> Result<Self> {
        ensure!(
            number <= 0x0fff_ffff,
            "the number {number:#x} of a blink(1) has more than seven hexadecimal digits"
        );
        let model = match kind {
            Kind::Mk1 => 1,
            Kind::Mk2 => 2,
            Kind::Mk3 => 3,
        };
        let identity = Identity { kind, serial: format!("{model:X}{number:07X}") };
        let state = State {
            device: Device::new(kind),
            plugged: false,
            connection: None,
            watchers: Vec::new(),
        };
        let shared = Shared {
            identity,
            born: Instant::now(),
            state: Mutex::new(state),
            changed: Condvar::new(),
        };
        Ok(Self { shared: Arc::new(shared), stay: Mutex::new(None) })
    }

    /// Its serial number, as USB tells it.
    pub fn serial(&self) -> &str {
        &self.shared.identity.serial
    }

    /// Plugs it into a socket of a machine ([`crate::Machine::light_socket`]). It stays plugged while the machine
    /// is off, and has power again when the machine has.
    pub fn plug(&self, socket: PathBuf) -> Result<()> {
        let mut stay = self.stay.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stay) = stay.as_ref() {
            bail!("blink(1) {} is plugged in at {} already", self.serial(), stay.socket.display());
        }
        self.shared.look().plugged = true;
        let (shared, path) = (Arc::clone(&self.shared), socket.clone());
        let thread = thread::Builder::new().name("blink1".into()).spawn(move || shared.stay(&path));
        *stay = Some(Stay { socket, thread: thread.context("start a thread")? });
        Ok(())
    }

    /// Pulls it out.
    pub fn unplug(&self) {
        let stay = self.stay.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut state = self.shared.look();
        state.plugged = false;
        if let Some(mut connection) = state.connection.take() {
            let _ = disconnect(&mut connection);
            let _ = connection.shutdown(Shutdown::Both);
        }
        drop(state);
        self.shared.changed.notify_all();
        if let Some(stay) = stay {
            let _ = stay.thread.join();
        }
    }

    /// Whether it is plugged in, with or without power.
    pub fn is_plugged(&self) -> bool {
        self.shared.look().plugged
    }

    /// The time on its own clock, by which the record is kept.
    pub fn now(&self) -> Duration {
        self.shared.born.elapsed()
    }

    /// All that it showed until now.
    pub fn record(&self) -> Record {
        let now = self.now();
        self.shared.look().device.record(now).clone()
    }

    /// The colour of a LED now.
    pub fn colour(&self, led: Led) -> Colour {
        let now = self.now();
        self.shared.look().device.record(now).colour(led, now)
    }

    /// What a person saw during the last `span`.
    pub fn seen(&self, led: Led, span: Duration) -> Seen {
        let now = self.now();
        Seen::between(self.shared.look().device.record(now), led, now.saturating_sub(span), now)
    }

    /// Looks on until a window of `span`, ending now, satisfies `wanted`; says in words what it saw last if it never does.
    pub fn wait_seen(
        &self,
        words: &str,
        led: Led,
        span: Duration,
        within: Duration,
        wanted: impl Fn(&Seen) -> bool,
    ) -> Result<Seen> {
        let deadline = Instant::now() + within;
        let from = self.now();
        loop {
            let seen = self.seen(led, span);
            if self.now() >= from + span && wanted(&seen) {
                return Ok(seen);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!(
                    "blink(1) {}: waited {within:?} for {words}; {led:?} shows {seen}",
                    self.serial()
                );
            }
            let state = self.shared.look();
            drop(self.shared.changed.wait_timeout(state, left.min(LOOK_EVERY)));
        }
    }

    /// When the light will change by itself; `None` if it is steady until somebody tells it something.
    pub fn next_change(&self) -> Option<Duration> {
        let now = self.now();
        self.shared.look().device.next_change(now)
    }

    /// Tells `watcher` about each command that arrives.
    pub fn watch(&self, watcher: Sender<()>) {
        self.shared.look().watchers.push(watcher);
    }
}

impl Drop for Blink1 {
    fn drop(&mut self) {
        self.unplug();
    }
}

impl Shared {
    fn look(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stay(&self, socket: &Path) {
        while self.look().plugged {
            if let Ok(mut stream) = UnixStream::connect(socket) {
                // Its end is the machine's or the plug's; both are no error.
                let _ = self.serve(&mut stream);
                let now = self.born.elapsed();
                let mut state = self.look();
                state.connection = None;
                state.device.lose_power(now);
                self.tell(&mut state);
            }
            let state = self.look();
            if state.plugged {
                drop(self.changed.wait_timeout(state, LOOK_EVERY));
            }
        }
    }

    fn serve(&self, stream: &mut UnixStream) -> io::Result<()> {
        {
            let mut state = self.look();
            if !state.plugged {
                return Ok(());
            }
            state.connection = Some(stream.try_clone()?);
        }
        serve(stream, &self.identity, |setup, data| {
            let now = self.born.elapsed();
            let mut state = self.look();
            let answer = control(&mut state.device, &self.identity, setup, data, now);
            self.tell(&mut state);
            answer
        })
    }

    fn tell(&self, state: &mut State) {
        state.watchers.retain(|watcher| watcher.send(()).is_ok());
        self.changed.notify_all();
    }
}

/// How soon a socket that has power again is noticed.
const LOOK_EVERY: Duration = Duration::from_millis(100);
