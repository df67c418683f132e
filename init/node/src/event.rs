// SPDX-License-Identifier: Apache-2.0
//! What may happen to a node. `sense` makes these; nothing else comes in.

use serde::{Deserialize, Serialize};

use crate::channel::Report;
use crate::control::Request;
use crate::service::ServiceName;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The loop turns for the first time: everything may start.
    Begun,
    /// PID 1 crashed and has executed itself again; its children live.
    Recovered {
        /// How it crashed: `SIGSEGV`, `panic at …`.
        cause: String,
    },
    /// A new program took PID 1's place, or the old one goes on since that failed; the children live.
    Upgraded {
        /// Of the program that is PID 1 now.
        version: String,
        /// Why the new one is not.
        refusal: Option<String>,
    },
    /// A run has a process.
    Spawned {
        /// Whose.
        service: ServiceName,
        /// Which run.
        instance: u64,
        /// Its main process.
        pid: u32,
    },
    /// A run has none.
    SpawnFailed {
        /// Whose.
        service: ServiceName,
        /// Which run.
        instance: u64,
        /// Why.
        sentence: String,
    },
    /// A run says that it is up: `READY=1`, or the newline on its descriptor 3.
    Ready {
        /// Whose.
        service: ServiceName,
        /// Which run.
        instance: u64,
    },
    /// A main process is gone.
    Ended {
        /// Whose.
        service: ServiceName,
        /// Which run.
        instance: u64,
        /// How.
        end: End,
    },
    /// A worker reports.
    Reported {
        /// Who.
        worker: ServiceName,
        /// What.
        report: Report,
    },
    /// Nobody read a service's output, and the oldest of it was given up before it would block.
    OutputLost {
        /// Whose.
        service: ServiceName,
        /// How much.
        bytes: u64,
    },
    /// Somebody asks over the control socket.
    Asked {
        /// Which connection; the answer goes there.
        client: u64,
        /// What.
        request: Request,
        /// Asked by root (SO_PEERCRED).
        is_root: bool,
    },
    /// Ctrl-Alt-Del, SIGTERM, the power key, SIGPWR.
    Leave(Goal),
    /// A deadline that [`crate::node::Node::next_wake`] named is due.
    Clock,
    /// The watchdog wants to be fed.
    WatchdogTick,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// With this exit status.
    Exit(i32),
    /// By this signal.
    Signal(i32),
}

/// Where the way down leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// The machine starts again.
    Reboot,
    /// The machine is switched off.
    PowerOff,
}

impl std::fmt::Display for End {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exit(status) => write!(out, "exit status {status}"),
            Self::Signal(number) => write!(out, "killed by signal {number}"),
        }
    }
}
