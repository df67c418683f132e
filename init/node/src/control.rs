// SPDX-License-Identifier: Apache-2.0
//! What the control socket offers: the Varlink interface `org.kubermesh.Node`.
//!
//! PID 1 answers it at [`SOCKET`]; the command line and the console ask. Reading is for everyone
//! on the node, acting for root (SO_PEERCRED).

use serde::{Deserialize, Serialize};

use crate::channel::{LightsReport, LogReport, PodsReport};
use crate::service::ServiceName;
use crate::status::Status;
use crate::time::{Span, Time};

/// Where PID 1 listens.
pub const SOCKET: &str = "/run/kubermesh/control";

/// The interface's name: a method is `org.kubermesh.Node.Status`, an error
/// `org.kubermesh.Node.NoSuchService`.
pub const INTERFACE: &str = "org.kubermesh.Node";

/// The interface in Varlink's own language, answered to `org.varlink.service.GetInterfaceDescription`.
pub const DESCRIPTION: &str = include_str!("org.kubermesh.Node.varlink");

/// A call of the interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "method", content = "parameters")]
pub enum Request {
    /// Who and how the node is: [`NodeView`].
    Status {},
    /// The conditions from cable to ready, in order: [`WhyView`].
    Why {},
    /// Each service: [`ServicesView`].
    Services {},
    /// Each port and its neighbour: [`crate::channel::NetworkReport`].
    Links {},
    /// What the light shows: [`LightView`].
    Light {},
    /// Blink so that a person finds this machine. For root.
    Identify {
        /// For how long; `"0s"` ends it.
        lasts: Span,
    },
    /// Stop and start a service. For root.
    Restart {
        /// Which.
        service: ServiceName,
    },
    /// Stop all in order and start the machine again. For root.
    Reboot {},
    /// Stop all in order and switch the machine off. For root.
    PowerOff {},
    /// The program in memory whose descriptor comes along takes PID 1's place. For root.
    // A reader of this one for every kind of request would be a kilobyte of PID 1.
    #[serde(skip_deserializing)]
    UpgradeInit {},
}

/// Who and how the node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeView {
    /// Its host name.
    pub hostname: String,
    /// Its /128 on `lo`.
    pub address: String,
    /// Its OSPF router id, dotted.
    pub router_id: String,
    /// 32 hex digits.
    pub identity: String,
    /// Version of the image.
    pub version: String,
    /// Time since the kernel started.
    pub now: Time,
    /// One word: `ready`, `degraded` …
    pub word: String,
    /// Phase, sentence, faults.
    pub status: Status,
    /// Its pods.
    pub pods: PodsReport,
    /// Its log store.
    pub log: LogReport,
    /// How often PID 1 has recovered from a crash of its own.
    pub recoveries: u32,
}

/// The way from cable to ready. The first condition that is not met is the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyView {
    /// In order.
    pub conditions: Vec<Condition>,
}

/// One condition on the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// `a neighbour on a cable`, `containerd answers` …
    pub name: String,
    /// Holds now.
    pub met: bool,
    /// What was seen or what is waited for.
    pub sentence: String,
}

/// Each service, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicesView {
    /// By name.
    pub services: Vec<ServiceView>,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceView {
    /// Its name.
    pub name: ServiceName,
    /// `stopped`, `waiting`, `starting`, `running`, `resting`, `stopping`, `stuck`, `done`.
    pub state: String,
    /// Its main process while there is one.
    pub pid: Option<u32>,
    /// Since when in this state.
    pub since: Time,
    /// Runs so far, the present one included.
    pub starts: u64,
    /// Failures in a row.
    pub failures: u32,
    /// What it waits for, or how its last run ended.
    pub sentence: String,
}

/// What the light shows and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LightView {
    /// The meaning's name in the light table: `isolated`, `ready` …
    pub shows: String,
    /// Colour and rhythm in words, for those who stand before the machine.
    pub words: String,
    /// The devices.
    pub lights: LightsReport,
}
