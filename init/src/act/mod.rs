// SPDX-License-Identifier: Apache-2.0
//! Performs effects, in order. Nothing here decides; one that fails does not stop the rest.

mod control;
pub(crate) mod modules;
mod services;

use std::collections::VecDeque;
use std::os::fd::AsFd;

use kubermesh_node::channel::{Envelope, Order, VERSION};
use kubermesh_node::effect::Effect;
use kubermesh_node::event::{Event, Goal};
use kubermesh_node::service::ServiceName;
use kubermesh_node::service::spec::StopSignal;
use kubermesh_sys::seqpacket;
use rustix::io::Errno;
use rustix::process::{Pid, Signal};
use rustix::system::RebootCommand;

use crate::held::Held;
use crate::last_resort;
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
pub(crate) fn perform(
    effect: Effect,
    held: &mut Held,
    voice: &Voice,
    events: &mut VecDeque<Event>,
) {
    let done = match effect {
        Effect::Spawn(launch) => {
            events.push_back(services::spawn(&launch, held));
            Ok(())
        }
        Effect::Terminate { pid, signal } => kill(pid, by_name(signal)),
        Effect::KillMain { pid } => kill(pid, Signal::KILL),
        Effect::KillGroup { cgroup } => services::kill_group(&cgroup),
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
            std::fs::write(&path, text).map_err(|source| ActError::Write { path, source })
        }
        Effect::SetHostname(name) => rustix::system::sethostname(name.as_bytes())
            .map_err(|source| ActError::Hostname { name, source }),
        Effect::Say(line) => {
            voice.say(Urgency::News, &line);
            Ok(())
        }
        Effect::FeedWatchdog => {
            held.watchdog.as_ref().map_or(Ok(()), |dog| dog.feed().map_err(ActError::Watchdog))
        }
        Effect::Leave(Goal::Reboot) => last_resort::leave(RebootCommand::Restart),
        Effect::Leave(Goal::PowerOff) => last_resort::leave(RebootCommand::PowerOff),
    };
    if let Err(refusal) = done {
        voice.tell(&refusal);
    }
}

fn kill(pid: u32, signal: Signal) -> Result<(), ActError> {
    let Some(target) = Pid::from_raw(pid.cast_signed()) else { return Ok(()) };
    match rustix::process::kill_process(target, signal) {
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
        | Order::WatchPods(_) => None,
    };
    let bytes = serde_json::to_vec(&Envelope { version: VERSION, body: order })?;
    match seqpacket::send(channel, &bytes, output) {
        Ok(()) | Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
        Err(source) => Err(ActError::Tell { worker: worker.clone(), source }),
    }
}
