// SPDX-License-Identifier: Apache-2.0
//! Performs effects, in order. Nothing here decides; one that fails does not stop the rest.

mod control;
pub(crate) mod devices;
pub(crate) mod modules;
mod services;

use std::path::Path;

use kubermesh_node::channel::{Envelope, Order, VERSION};
use kubermesh_node::effect::Effect;
use kubermesh_node::event::Goal;
use kubermesh_node::service::ServiceName;
use kubermesh_node::service::spec::StopSignal;
use kubermesh_sys::descriptor::AsFd;
use kubermesh_sys::machine::{self, Next};
use kubermesh_sys::process::{self, Signal};
use kubermesh_sys::{Errno, files, seqpacket};

use crate::events::Events;
use crate::held::Held;
use crate::say::{Urgency, Voice};

/// Why an effect failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ActError {
    #[error("write {path}")]
    Write { path: String, source: std::io::Error },
    #[error("kill process {pid}")]
    Kill { pid: u32, source: Errno },
    #[error("set the host name to {name}")]
    Hostname { name: String, source: Errno },
    #[error("tell {worker}")]
    Tell { worker: ServiceName, source: Errno },
    #[error("say it in JSON")]
    Json(#[from] serde_json::Error),
    #[error("feed the watchdog")]
    Watchdog(#[source] Errno),
}

/// Performs one effect. What comes of it goes into `events`.
pub(crate) fn perform(effect: Effect, held: &mut Held, voice: &Voice, events: &mut Events) {
    let done = match effect {
        Effect::Spawn(launch) => {
            services::spawn(&launch, held, events);
            Ok(())
        }
        Effect::Terminate { pid, signal } => kill(pid, by_name(signal)),
        Effect::KillMain { pid } => kill(pid, Signal::KILL),
        Effect::KillGroup { cgroup } => services::kill_group(&cgroup, held),
        Effect::Tell { worker, order } => tell(&worker, &order, held),
        Effect::KeepOutput(kept) => {
            services::keep_output(kept, held);
            Ok(())
        }
        Effect::Answer { client, reply } => {
            control::answer(client, &reply, held);
            Ok(())
        }
        Effect::WriteFile { path, text } => {
            files::write(Path::new(&path), &text).map_err(|source| ActError::Write { path, source })
        }
        Effect::SetHostname(name) => {
            machine::set_hostname(&name).map_err(|source| ActError::Hostname { name, source })
        }
        Effect::Say(line) => {
            voice.say(Urgency::News, &line);
            Ok(())
        }
        Effect::FeedWatchdog => {
            held.watchdog.as_ref().map_or(Ok(()), |dog| dog.feed().map_err(ActError::Watchdog))
        }
        Effect::Leave(Goal::Reboot) => machine::leave(Next::Restart),
        Effect::Leave(Goal::PowerOff) => machine::leave(Next::PowerOff),
    };
    if let Err(refusal) = done {
        voice.tell(&refusal);
    }
}

fn kill(pid: u32, signal: Signal) -> Result<(), ActError> {
    match process::kill(pid, signal) {
        // It ended a moment ago and is not reaped yet, or just now: its end is on its way.
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(source) => Err(ActError::Kill { pid, source }),
    }
}

const fn by_name(signal: StopSignal) -> Signal {
    match signal {
        StopSignal::Term => Signal::TERM,
        StopSignal::Int => Signal::INT,
        StopSignal::Quit => Signal::QUIT,
        StopSignal::Hup => Signal::HUP,
    }
}

fn tell(worker: &ServiceName, order: &Order, held: &Held) -> Result<(), ActError> {
    // A worker that has just ended gets all that still holds when it starts again.
    let Some(channel) = held.channels.get(worker) else { return Ok(()) };
    let output = match order {
        Order::Output { service } => held.outputs.get(service).map(|output| output.reader.as_fd()),
        Order::Ping { .. }
        | Order::Status(_)
        | Order::Identify { .. }
        | Order::Watch(_)
        | Order::Unwatch { .. }
        | Order::WatchPods(_)
        | Order::Stored => None,
    };
    let bytes = serde_json::to_vec(&Envelope { version: VERSION, body: order })?;
    match seqpacket::send(channel, &bytes, output) {
        Ok(()) | Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
        Err(source) => Err(ActError::Tell { worker: worker.clone(), source }),
    }
}
