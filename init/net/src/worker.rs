// SPDX-License-Identifier: Apache-2.0
//! The loop: waits for the kernel, BIRD, PID 1 and whoever asks for its health; carries events to
//! [`Network`] and its effects to the world.
//!
//! There is nothing to tidy at the end: addresses and files stay for the next run, so SIGTERM
//! does what it does by itself.

use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Duration;

use kubermesh_node::channel::{NetworkReport, Report};
use kubermesh_node::plan::Plan;
use kubermesh_worker::{Channel, ChannelError, Health, HealthError};
use tokio::io::unix::AsyncFd;
use tokio::time::sleep;

use crate::act;
use crate::act::file::{self, FileError};
use crate::bird::Bird;
use crate::ground::Ground;
use crate::sense::clock::now;
use crate::sense::netlink::{Monitor, MonitorError, Notice};
use crate::think::effect::Effect;
use crate::think::event::Event;
use crate::think::network::Network;
use crate::think::report::report;

/// Why this worker ended.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// PID 1 is not there.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// Nobody could see whether this worker lives.
    #[error(transparent)]
    Health(#[from] HealthError),
    /// PID 1's plan cannot be read.
    #[error("read {path}")]
    Plan {
        /// Where it should be.
        path: std::path::PathBuf,
        /// Its reason.
        source: std::io::Error,
    },
    /// The kernel's notices cannot be had.
    #[error(transparent)]
    Monitor(#[from] MonitorError),
    /// BIRD's configuration or the pods' network cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The runtime.
    #[error("wait for the kernel, BIRD and PID 1")]
    Wait(#[source] std::io::Error),
}

/// The whole worker, as PID 1 starts it.
///
/// # Errors
/// It was started by hand, or cannot do its work; PID 1 starts it again.
pub fn run() -> Result<(), NetError> {
    kubermesh_worker::start_log("net");
    let channel = Channel::inherit()?;
    let health = Health::listen("net")?;
    run_on(Ground::default(), channel, health)
}

/// The worker on this ground, until PID 1 closes the channel, which is no failure.
///
/// # Errors
/// It cannot do its work.
pub fn run_on(ground: Ground, channel: Channel, health: Health) -> Result<(), NetError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(NetError::Wait)?;
    match runtime.block_on(async { Worker::start(ground, channel, health)?.work().await }) {
        Err(NetError::Channel(ChannelError::Closed)) => Ok(()),
        end => end,
    }
}

struct Worker {
    ground: Ground,
    channel: AsyncFd<Watched<Channel>>,
    health: AsyncFd<Watched<Health>>,
    monitor: Monitor,
    bird: Bird,
    network: Network,
    told: Option<NetworkReport>,
}

impl Worker {
    fn start(ground: Ground, channel: Channel, health: Health) -> Result<Self, NetError> {
        let plan = read_plan(&ground)?;
        Ok(Self {
            channel: watch(channel).map_err(NetError::Wait)?,
            health: watch(health).map_err(NetError::Wait)?,
            monitor: Monitor::open(&ground)?,
            bird: Bird::at(&ground.bird.join("bird.ctl")),
            network: Network::new(plan, now()),
            told: None,
            ground,
        })
    }

    async fn work(mut self) -> Result<(), NetError> {
        let snapshot = self.monitor.snapshot().await?;
        self.carry(snapshot).await?;
        loop {
            let unsent = self.tell()?;
            tokio::select! {
                notice = self.monitor.next() => match notice? {
                    Notice::Of(event) => self.carry(event).await?,
                    // Here and not beside the others: whoever came first would end it, and the
                    // kernel tells of its loss once.
                    Notice::Dropped => self.begin_anew().await?,
                },
                said = self.bird.hear() => {
                    for event in said {
                        self.carry(Event::Bird(event)).await?;
                    }
                }
                ready = self.channel.readable() => {
                    ready.map_err(NetError::Wait)?.clear_ready();
                    drain(&self.channel.get_ref().0)?;
                }
                ready = self.channel.writable(), if unsent => {
                    ready.map_err(NetError::Wait)?.clear_ready();
                }
                ready = self.health.readable() => {
                    ready.map_err(NetError::Wait)?.clear_ready();
                    self.health.get_ref().0.answer();
                }
                () = until(&self.network), if self.network.deadline().is_some() => {
                    self.carry(Event::Clock).await?;
                }
            }
        }
    }

    /// On a socket of its own: in the old one wait notices from before the loss, and what is
    /// known now must not be undone by them.
    async fn begin_anew(&mut self) -> Result<(), NetError> {
        tracing::warn!("the kernel had to drop notices: everything is read anew");
        self.monitor = Monitor::open(&self.ground)?;
        let snapshot = self.monitor.snapshot().await?;
        self.carry(snapshot).await
    }

    /// Carries an event in and its effects out, until nothing more follows.
    async fn carry(&mut self, event: Event) -> Result<(), NetError> {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            tracing::debug!(?event);
            for effect in self.network.step(event, now()) {
                tracing::debug!(%effect);
                events.extend(self.perform(effect).await?);
            }
        }
        Ok(())
    }

    /// Performs one effect. What the kernel refuses is an event; a file that cannot be written
    /// ends this worker, since nobody could go on without it.
    async fn perform(&mut self, effect: Effect) -> Result<Vec<Event>, NetError> {
        match &effect {
            Effect::WriteBirdConfig(text) => {
                let folder = &self.ground.bird;
                file::replace(&folder.join("bird.conf"), &folder.join("bird.conf.draft"), text)?;
                Ok(Vec::new())
            }
            Effect::WriteConflist(text) => {
                // containerd reads each file that appears in net.d: the draft is made beside it.
                let folder = &self.ground.cni;
                let path = folder.join("net.d/10-kubermesh.conflist");
                file::replace(&path, &folder.join("10-kubermesh.draft"), text)?;
                Ok(Vec::new())
            }
            Effect::Ask(question) => {
                Ok(self.bird.ask(*question).into_iter().map(Event::Bird).collect())
            }
            Effect::SayReady => {
                kubermesh_worker::say_ready();
                Ok(Vec::new())
            }
            Effect::Set { .. }
            | Effect::Resize { .. }
            | Effect::Name { .. }
            | Effect::Raise { .. }
            | Effect::AddAddress { .. } => {
                let refused = act::ask_kernel(&self.monitor.handle(), &effect).await;
                Ok(refused
                    .map(|sentence| Event::Refused { effect, sentence })
                    .into_iter()
                    .collect())
            }
        }
    }

    /// Tells PID 1 what has changed; whether it must be said again.
    fn tell(&mut self) -> Result<bool, NetError> {
        let network = report(&self.network);
        if self.told.as_ref() == Some(&network) {
            return Ok(false);
        }
        match self.channel.get_ref().0.send(&Report::Network(network.clone())) {
            Ok(()) => {
                tell_faults(self.told.as_ref(), &network);
                self.told = Some(network);
                Ok(false)
            }
            Err(ChannelError::Full) => Ok(true),
            Err(refusal) => Err(refusal.into()),
        }
    }
}

fn read_plan(ground: &Ground) -> Result<Plan, NetError> {
    let text = std::fs::read(&ground.plan);
    let plan = text.and_then(|text| serde_json::from_slice(&text).map_err(Into::into));
    plan.map_err(|source| NetError::Plan { path: ground.plan.clone(), source })
}

/// There is no order for this worker; whatever comes is passed over.
fn drain(channel: &Channel) -> Result<(), ChannelError> {
    loop {
        match channel.receive() {
            Ok(None) => return Ok(()),
            Ok(Some(_)) | Err(ChannelError::Foreign { .. }) => {}
            Err(refusal) => return Err(refusal),
        }
    }
}

async fn until(network: &Network) {
    let Some(deadline) = network.deadline() else { return };
    sleep(Duration::from_millis(deadline.since(now()).as_millis())).await;
}

fn tell_faults(before: Option<&NetworkReport>, after: &NetworkReport) {
    let known = before.map(|report| report.faults.as_slice()).unwrap_or_default();
    for fault in after.faults.iter().filter(|fault| !known.contains(fault)) {
        tracing::warn!("{}: {}", fault.subject, fault.sentence);
    }
}

/// Waits for a descriptor of a worker.
#[expect(
    deprecated,
    reason = "its successor is unsafe for types whose number may change; Watched's cannot"
)]
fn watch<T: AsFd>(inner: T) -> std::io::Result<AsyncFd<Watched<T>>> {
    AsyncFd::new(Watched(inner))
}

/// tokio asks for the raw number: an owned descriptor's, the same as long as it lives.
struct Watched<T>(T);

impl<T: AsFd> AsRawFd for Watched<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}
