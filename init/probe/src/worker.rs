// SPDX-License-Identifier: Apache-2.0
//! The worker: takes orders, keeps a task for each service, tells what changed.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::rc::Rc;

use kubermesh_node::channel::{HealthReport, Order, Watch, WatchPods};
use kubermesh_node::service::ServiceName;
use kubermesh_worker::{Channel, ChannelError, Health, HealthError};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::JoinHandle;

use crate::outbox::Outbox;
use crate::{check, pods, watch};

/// Why the worker ended before its channel did.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// No word with PID 1.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// No health socket.
    #[error(transparent)]
    Health(#[from] HealthError),
    /// The kernel gave no epoll or would not watch a descriptor.
    #[error("wait for orders")]
    Wait(#[from] io::Error),
}

/// The worker `kubermesh probe`, until PID 1 closes its channel.
///
/// # Errors
/// It was not started by PID 1, or the channel failed.
pub fn run() -> Result<(), ProbeError> {
    let channel = Channel::inherit()?;
    kubermesh_worker::start_log("probe");
    let health = Health::listen("probe")?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async {
        let health = polled(health, Interest::READABLE)?;
        kubermesh_worker::say_ready();
        tokio::select! {
            refusal = answer(&health) => Err(refusal),
            ended = serve(channel) => ended,
        }
    })
}

/// Says `ok` to whoever asks, from the loop that does the work.
async fn answer(health: &AsyncFd<Polled<Health>>) -> ProbeError {
    loop {
        match health.readable().await {
            Ok(mut ready) => {
                ready.get_inner().0.answer();
                ready.clear_ready();
            }
            Err(refusal) => return refusal.into(),
        }
    }
}

/// Follows orders until the channel is closed. Needs a `LocalSet` around it.
pub(crate) async fn serve(channel: Channel) -> Result<(), ProbeError> {
    let channel = polled(channel, Interest::READABLE | Interest::WRITABLE)?;
    let outbox = Rc::new(Outbox::default());
    let ended = tokio::select! {
        ended = listen(&channel, &outbox) => ended,
        ended = speak(&channel, &outbox) => ended,
    };
    match ended {
        Err(ProbeError::Channel(ChannelError::Closed)) => Ok(()),
        other => other,
    }
}

async fn listen(channel: &AsyncFd<Polled<Channel>>, outbox: &Rc<Outbox>) -> Result<(), ProbeError> {
    let mut tasks = Tasks { outbox: Rc::clone(outbox), services: BTreeMap::new(), pods: None };
    loop {
        let mut ready = channel.readable().await?;
        match ready.get_inner().0.receive() {
            Ok(Some((order, _))) => tasks.follow(order),
            Ok(None) => ready.clear_ready(),
            // A PID 1 of another version: what it says beside this may still be understood.
            Err(refusal @ ChannelError::Foreign { .. }) => tracing::warn!("{refusal}"),
            Err(refusal) => return Err(refusal.into()),
        }
    }
}

/// Sends what waits; while PID 1 does not read, it waits on.
async fn speak(channel: &AsyncFd<Polled<Channel>>, outbox: &Outbox) -> Result<(), ProbeError> {
    loop {
        let Some(report) = outbox.next() else {
            outbox.filled().await;
            continue;
        };
        let mut ready = channel.writable().await?;
        // It may have been replaced or dropped meanwhile.
        if outbox.next().as_ref() != Some(&report) {
            continue;
        }
        match ready.get_inner().0.send(&report) {
            Ok(()) => outbox.told(&report),
            Err(ChannelError::Full) => ready.clear_ready(),
            Err(refusal @ ChannelError::TooLong { .. }) => {
                tracing::error!("{refusal}");
                outbox.told(&report);
            }
            Err(refusal) => return Err(refusal.into()),
        }
    }
}

/// Who is looked at.
struct Tasks {
    outbox: Rc<Outbox>,
    services: BTreeMap<ServiceName, Task>,
    pods: Option<Task>,
}

impl Tasks {
    fn follow(&mut self, order: Order) {
        match order {
            Order::Ping { number } => self.outbox.pong(number),
            Order::Watch(watch) => {
                self.end(&watch.service);
                let service = watch.service.clone();
                self.services.insert(service, look(watch, Rc::clone(&self.outbox)));
            }
            Order::Unwatch { service } => self.end(&service),
            Order::WatchPods(watch) => {
                self.pods = Some(look_at_pods(watch, Rc::clone(&self.outbox)));
            }
            Order::Status(_) | Order::Identify { .. } | Order::Output { .. } | Order::Stored => {
                tracing::warn!("PID 1 sent an order that is not for probe");
            }
        }
    }

    /// Nothing is said about this run any more, not even what was heard already.
    fn end(&mut self, service: &ServiceName) {
        self.services.remove(service);
        self.outbox.forget(service);
    }
}

/// A task that ends where it stands when it is dropped. There is one thread: it is not running now.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn look(watch: Watch, outbox: Rc<Outbox>) -> Task {
    Task(tokio::task::spawn_local(async move {
        let tell = |verdict: crate::judgement::Verdict| {
            outbox.health(HealthReport {
                service: watch.service.clone(),
                instance: watch.instance,
                healthy: verdict.healthy,
                sentence: verdict.sentence,
            });
        };
        watch::look(&watch, async || check::ask(&watch.check).await, tell).await;
    }))
}

fn look_at_pods(watch: WatchPods, outbox: Rc<Outbox>) -> Task {
    Task(tokio::task::spawn_local(async move {
        pods::look(&watch, |report| outbox.pods(report)).await;
    }))
}

#[expect(
    deprecated,
    reason = "its successor is unsafe, because AsRawFd may name another descriptor each time: Polled does not"
)]
fn polled<T: AsFd>(inner: T, interest: Interest) -> io::Result<AsyncFd<Polled<T>>> {
    AsyncFd::with_interest(Polled(inner), interest)
}

/// tokio asks for a number where ours lend a descriptor. It is the same one until the end.
struct Polled<T>(T);

impl<T: AsFd> AsRawFd for Polled<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

#[cfg(test)]
mod tests;
