// SPDX-License-Identifier: Apache-2.0
//! What a node may want done. `act` performs these, in order; one that fails does not stop the
//! rest, and where it matters its failure comes back as an event.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::channel::Order;
use crate::event::Goal;
use crate::service::ServiceName;
use crate::service::spec::{Resources, StopSignal};
use crate::varlink::Reply;

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Start a run. Answered by `Spawned` or `SpawnFailed`.
    Spawn(Box<Launch>),
    /// Ask a main process to end.
    Terminate {
        /// Its process.
        pid: u32,
        /// How.
        signal: StopSignal,
    },
    /// Kill a main process alone.
    KillMain {
        /// Its process.
        pid: u32,
    },
    /// Kill everything in a cgroup, `cgroup.kill`.
    KillGroup {
        /// Below the root, `system/net`.
        cgroup: String,
    },
    /// Say something to a worker. `Order::Output` takes the read end of that service's pipe along.
    Tell {
        /// To whom; one that has no process hears nothing, and gets what still holds when it starts.
        worker: ServiceName,
        /// What.
        order: Order,
    },
    /// Nobody reads the services' output: keep the newest of it and let no service block. So it is
    /// at first.
    KeepOutput(bool),
    /// Answer a control client.
    Answer {
        /// Which connection.
        client: u64,
        /// What.
        reply: Reply,
    },
    /// Let the program that came with this client's call rehearse to be PID 1. PID 1 answers.
    Rehearse {
        /// Which connection.
        client: u64,
    },
    /// Write a file on a file system in memory.
    WriteFile {
        /// Where.
        path: String,
        /// What.
        text: String,
    },
    /// sethostname(2).
    SetHostname(String),
    /// One line to the kernel's log.
    Say(String),
    /// Feed the hardware watchdog.
    FeedWatchdog,
    /// Everything is stopped: sync once more, with a deadline, and leave.
    Leave(Goal),
}

/// The same, but what is told before a run starts is told right behind that: to write a line of the kernel's log
/// takes as long as to make a process.
pub(crate) fn starts_first(mut effects: Vec<Effect>) -> Vec<Effect> {
    let starts = |effect: &Effect| matches!(effect, Effect::Spawn(_));
    let Some(last) = effects.iter().rposition(starts) else { return effects };
    let rest = effects.split_off(last.saturating_add(1));
    let is_word = |effect: &Effect| matches!(effect, Effect::Say(_));
    let (words, mut deeds): (Vec<_>, Vec<_>) = effects.into_iter().partition(is_word);
    deeds.extend(words);
    deeds.extend(rest);
    deeds
}

/// All that is needed to start a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// Whose.
    pub service: ServiceName,
    /// Which run.
    pub instance: u64,
    /// Program and arguments, placeholders replaced.
    pub command: Vec<String>,
    /// Beside PATH, NOTIFY_SOCKET and KUBERMESH_SERVICE.
    pub environment: BTreeMap<String, String>,
    /// Its cgroup below the root.
    pub cgroup: String,
    /// What it may take.
    pub resources: Resources,
    /// Gets a channel to PID 1.
    pub worker: bool,
    /// Says that it is up by a newline on descriptor 3.
    pub newline: bool,
}
