// SPDX-License-Identifier: Apache-2.0
//! The worker's loop: orders in, one transfer a turn, reports out.

use std::os::fd::AsFd;

use kubermesh_node::channel::{LightsReport, Order, Report};
use kubermesh_node::light::{Look, Meaning};
use kubermesh_node::status::Status;
use kubermesh_node::time::{Span, Time};
use kubermesh_sys::signals::{Came, Signals};
use kubermesh_sys::uevent::Uevents;
use kubermesh_worker::{Channel, ChannelError, Health, HealthError};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::time::{ClockId, Timespec};

use crate::hid::UsbSockets;
use crate::lights::Lights;

/// Why the light worker ended. PID 1 starts it again; until then the lights keep their pattern,
/// and say by themselves that the software died if that takes long.
#[derive(Debug, thiserror::Error)]
pub enum LightError {
    /// The channel to PID 1.
    #[error("talk to PID 1")]
    Channel(#[from] ChannelError),
    /// The health socket.
    #[error("offer the light worker's health")]
    Health(#[from] HealthError),
    /// The kernel's events.
    #[error("hear which devices come and go")]
    Uevents(#[source] Errno),
    /// The signal that ends it.
    #[error("take signals from a descriptor")]
    Signals(#[source] nix::Error),
    /// hidapi.
    #[error("look for lights")]
    Hid(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// poll(2).
    #[error("wait for orders and devices")]
    Wait(#[source] Errno),
}

/// The whole worker, until PID 1 closes the channel or asks it to end.
///
/// # Errors
/// It cannot be set up, or PID 1 is gone.
pub fn run() -> Result<(), LightError> {
    let channel = Channel::inherit()?;
    kubermesh_worker::start_log("light");
    let mut worker = Worker::new(channel)?;
    worker.look_around();
    kubermesh_worker::say_ready();
    while worker.turn()? {}
    worker.finish();
    Ok(())
}

struct Worker {
    channel: Channel,
    health: Health,
    uevents: Uevents,
    signals: Signals,
    lights: Lights<UsbSockets, fn() -> Time>,
    status: Status,
    identify_until: Option<Time>,
    said: Option<LightsReport>,
}

impl Worker {
    fn new(channel: Channel) -> Result<Self, LightError> {
        let signals = Signals::open().map_err(LightError::Signals)?;
        let health = Health::listen("light")?;
        // Before the first look: what comes in between is seen twice, not never.
        let uevents = Uevents::open().map_err(LightError::Uevents)?;
        let bus = UsbSockets::open().map_err(|refusal| LightError::Hid(refusal.into()))?;
        let status = Status::at_start();
        let lights = Lights::new(bus, now as fn() -> Time, Look::of(&status));
        let (identify_until, said) = (None, None);
        Ok(Self { channel, health, uevents, signals, lights, status, identify_until, said })
    }

    /// Waits for something to do and does it. False: somebody asked us to end.
    fn turn(&mut self) -> Result<bool, LightError> {
        self.wait()?;
        // First of all, so that also a worker whose lights all hang answers between two of them.
        self.health.answer();
        self.hear_devices();
        let goes_on = self.hear_orders()? && !self.is_asked_to_end();
        let look = self.look();
        self.lights.show(look);
        self.lights.turn();
        self.say()?;
        Ok(goes_on)
    }

    fn wait(&self) -> Result<(), LightError> {
        let unsaid = self.said.as_ref() != Some(&self.lights.report());
        let again_at = unsaid.then(|| now().after(SAY_AGAIN));
        let due = [self.lights.due(), self.identify_until, again_at].into_iter().flatten().min();
        let patience = due.map(|due| timespec(due.since(now())));
        let descriptors =
            [self.channel.as_fd(), self.health.as_fd(), self.uevents.as_fd(), self.signals.as_fd()];
        let mut polled = descriptors.map(|one| PollFd::from_borrowed_fd(one, PollFlags::IN));
        match rustix::event::poll(&mut polled, patience.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(refusal) => Err(LightError::Wait(refusal)),
        }
    }

    fn hear_devices(&mut self) {
        let mut changed = false;
        loop {
            match self.uevents.receive() {
                Ok(None) => break,
                Ok(Some(event)) if event.get("SUBSYSTEM") == Some("hidraw") => {
                    changed = true;
                    if event.get("ACTION") == Some("remove") {
                        let name = event.get("DEVNAME").unwrap_or_default();
                        self.lights.forget(&format!("/dev/{name}"));
                    }
                }
                Ok(Some(_)) => {}
                Err(refusal) => {
                    tracing::warn!(%refusal, "lost device events, looking at all lights anew");
                    self.lights.forget_all();
                    changed = true;
                    if refusal != Errno::NOBUFS {
                        break;
                    }
                }
            }
        }
        if changed {
            self.look_around();
        }
    }

    fn look_around(&mut self) {
        if let Err(refusal) = self.lights.look_around() {
            tracing::warn!(%refusal, "look for lights");
        }
    }

    /// False once PID 1 has closed the channel.
    fn hear_orders(&mut self) -> Result<bool, LightError> {
        loop {
            match self.channel.receive() {
                Ok(None) => return Ok(true),
                Ok(Some((order, _))) => self.obey(order),
                Err(ChannelError::Closed) => return Ok(false),
                Err(fault @ ChannelError::Foreign { .. }) => tracing::warn!("{fault}"),
                Err(fault) => return Err(fault.into()),
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Status(status) => self.status = status,
            Order::Identify { lasts } => {
                self.identify_until = (lasts > Span::default()).then(|| now().after(lasts));
            }
            Order::Ping { .. }
            | Order::Watch(_)
            | Order::Unwatch { .. }
            | Order::WatchPods(_)
            | Order::Output { .. }
            | Order::Stored => tracing::warn!(?order, "an order for another worker"),
        }
    }

    /// The node's status; while somebody looks for the machine, that.
    fn look(&mut self) -> Look {
        self.identify_until = self.identify_until.filter(|until| *until > now());
        match self.identify_until {
            Some(_) => Look::whole(Meaning::Identify),
            None => Look::of(&self.status),
        }
    }

    fn is_asked_to_end(&mut self) -> bool {
        std::iter::from_fn(|| self.signals.take()).any(|came| came != Came::Child)
    }

    /// Reports what has changed. A full channel is tried again; its closing is seen by reading.
    fn say(&mut self) -> Result<(), LightError> {
        let report = self.lights.report();
        if self.said.as_ref() == Some(&report) {
            return Ok(());
        }
        match self.channel.send(&Report::Lights(report.clone())) {
            Ok(()) => self.said = Some(report),
            Err(ChannelError::Full | ChannelError::Closed) => {}
            Err(fault) => return Err(fault.into()),
        }
        Ok(())
    }

    /// Lets each light get to what it is to show: "safe to unplug" is often the last order.
    fn finish(&mut self) {
        let give_up_at = now().after(FINISH_WITHIN);
        // The signal may have overtaken the order that was sent before it.
        if let Err(fault) = self.hear_orders() {
            tracing::warn!(%fault, "hear the last orders");
        }
        self.identify_until = None;
        self.lights.show(Look::of(&self.status));
        while !self.lights.is_settled() && now() < give_up_at {
            self.lights.turn();
        }
    }
}

/// CLOCK_BOOTTIME, which PID 1's moments are in too.
fn now() -> Time {
    let Timespec { tv_sec, tv_nsec } = rustix::time::clock_gettime(ClockId::Boottime);
    let [seconds, nanoseconds] = [tv_sec, tv_nsec].map(|part| u64::try_from(part).unwrap_or(0));
    Time::from_millis(seconds.saturating_mul(1000))
        .after(Span::from_millis(nanoseconds / 1_000_000))
}

fn timespec(span: Span) -> Timespec {
    let milliseconds = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    let nanoseconds = (milliseconds % 1000).saturating_mul(1_000_000);
    Timespec { tv_sec: milliseconds / 1000, tv_nsec: nanoseconds }
}

/// PID 1 reads its channels on each turn of its loop.
const SAY_AGAIN: Span = Span::from_millis(500);

/// Some fifty transfers of milliseconds; a light that hangs must not hold up the way down.
const FINISH_WITHIN: Span = Span::from_secs(3);
