// SPDX-License-Identifier: Apache-2.0
//! Performs effects, in order. Nothing here decides; one that fails does not stop the rest.

mod control;
pub(crate) mod devices;
pub(crate) mod modules;
mod services;

pub(crate) use control::{answer, send_rest};

use std::path::Path;

use kubermesh_node::channel::{Envelope, HealthReport, Order, Report, VERSION};
use kubermesh_node::effect::Effect;
use kubermesh_node::event::{Event, Goal};
use kubermesh_node::service::ServiceName;
use kubermesh_node::service::spec::StopSignal;
use kubermesh_sys::descriptor::AsFd;
use kubermesh_sys::machine::{self, Next};
use kubermesh_sys::process::{self, Signal};
use kubermesh_sys::{Errno, files, seqpacket};

use crate::again::thrice;
use crate::events::Events;
use crate::held::Held;
use crate::say::{Urgency, Voice};
use crate::upgrade;

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
        Effect::Terminate { pid, signal } => kill(pid, by_name(signal), held),
        Effect::KillMain { pid } => kill(pid, Signal::KILL, held),
        Effect::KillGroup { cgroup } => services::kill_group(&cgroup, held),
        Effect::Tell { worker, order } => {
            let told = tell(&worker, &order, held);
            if told.is_err() {
                is_unwell(worker, held).into_iter().for_each(|event| events.push(event));
            }
            told
        }
        Effect::KeepOutput(kept) => {
            services::keep_output(kept, held);
            Ok(())
        }
        Effect::Answer { client, reply } => {
            answer(client, &reply, held);
            Ok(())
        }
        Effect::Rehearse { client } => {
            upgrade::rehearse(client, held, events, voice);
            Ok(())
        }
        // Nobody writes it again: `net` would be without its plan.
        Effect::WriteFile { path, text } => thrice(|| files::write(Path::new(&path), &text))
            .map_err(|source| ActError::Write { path, source }),
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

fn kill(pid: u32, signal: Signal, held: &Held) -> Result<(), ActError> {
    // Reaped, and its end not answered yet: the number may be somebody else's by now.
    if !held.children.contains_key(&pid) {
        return Ok(());
    }
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

/// A worker missed an order: this run of it answers no longer, and the next one is told all that holds.
fn is_unwell(worker: ServiceName, held: &Held) -> Option<Event> {
    let child = held.children.values().find(|child| child.service == worker)?;
    let report = Report::Health(HealthReport {
        service: worker.clone(),
        instance: child.instance,
        healthy: false,
        sentence: "does not take what PID 1 says".to_owned(),
    });
    Some(Event::Reported { worker, report })
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::time::Duration;

    use super::*;
    use crate::held::tests::{child, held, started};
    use crate::recorder::tests::recorder;

    /// A process that sleeps, and ends with the test.
    struct Sleeper(u32);

    impl Drop for Sleeper {
        fn drop(&mut self) {
            let _ = process::kill(self.0, Signal::KILL);
            let _ = process::ends_within(self.0, Duration::from_secs(60));
            process::reap(self.0);
        }
    }

    #[test]
    fn a_signal_reaches_only_a_process_that_is_not_reaped_yet() {
        let sleeper = Sleeper(started(&["/bin/sleep", "600"], None));
        let mut held = held(&["light"]);
        // Its service was reaped, and the kernel has given the number to somebody else.
        kill(sleeper.0, Signal::KILL, &held).unwrap();
        assert!(!process::ends_within(sleeper.0, Duration::from_millis(50)).unwrap());
        held.children.insert(sleeper.0, child("light"));
        kill(sleeper.0, Signal::KILL, &held).unwrap();
        assert!(process::ends_within(sleeper.0, Duration::from_secs(60)).unwrap());
    }

    #[test]
    fn an_order_that_a_worker_has_no_room_for_is_told_and_not_forgotten() {
        let mut held = held(&["light"]);
        let (ours, _theirs) = seqpacket::pair().unwrap();
        while seqpacket::send(&ours, &[0; 8192], None).is_ok() {}
        let light: ServiceName = "light".parse().unwrap();
        held.channels.insert(light.clone(), ours);
        held.children.insert(4711, child("light"));
        let mut events = Events::new(recorder(), VecDeque::new(), 0);
        let effect = Effect::Tell { worker: light.clone(), order: Order::Stored };
        perform(effect, &mut held, &Voice::silent(), &mut events);
        let unwell = Report::Health(HealthReport {
            service: light.clone(),
            instance: 1,
            healthy: false,
            sentence: "does not take what PID 1 says".to_owned(),
        });
        let (_, event, _) = events.next().unwrap();
        assert_eq!(event, Event::Reported { worker: light, report: unwell });
    }
}
