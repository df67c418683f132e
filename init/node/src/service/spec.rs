// SPDX-License-Identifier: Apache-2.0
//! What a service file may say.
//!
//! ```text
//! kubelet.toml ─► ServiceSpec::parse ─► ServiceSpec (cannot hold nonsense) ─► catalog
//! ```
//!
//! The same code reads them when the image is built, on a laptop (`kubermesh check`) and at boot.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::name::ServiceName;
use super::privileges::Confined;
use crate::time::Span;

/// One service, from its file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSpec {
    /// Program (an absolute path) and arguments. `${node_address}`, `${hostname}` and the other
    /// words of [`PLACEHOLDERS`] are replaced.
    pub command: Vec<String>,
    /// A service runs on; a task runs once and is done.
    #[serde(default)]
    pub kind: Kind,
    /// Started when each of these is ready (a task: done).
    #[serde(default)]
    pub after: Vec<ServiceName>,
    /// A worker of ours: gets a channel to PID 1.
    #[serde(default)]
    pub worker: bool,
    /// Added to a nearly empty environment (PATH, NOTIFY_SOCKET, KUBERMESH_SERVICE).
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// When it counts as started.
    #[serde(default)]
    pub ready: Ready,
    /// How it is looked after while it runs.
    #[serde(default)]
    pub health: Option<Box<Health>>,
    /// What happens when it ends by itself.
    #[serde(default)]
    pub restart: Restart,
    /// How it is ended.
    #[serde(default)]
    pub stop: Stop,
    /// What it may take.
    #[serde(default)]
    pub resources: Resources,
    /// The pods that this service runs; the node is ready when they all are.
    #[serde(default)]
    pub pods: Option<Box<Pods>>,
    /// It is started with the privileges that its file names and no others.
    #[serde(default, rename = "privileges", skip_serializing_if = "Confined::is_not")]
    pub confined: Confined,
}

/// The words that a command may hold as `${word}`; their values come from the node's plan.
pub const PLACEHOLDERS: [&str; 3] = ["node_address", "hostname", "router_id"];

/// Whether a service is meant to go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Runs until it is stopped.
    #[default]
    Service,
    /// Runs once; exit status 0 is success.
    Task,
    /// A task of the way down: runs once at its `[stop] stage`, for `[stop] within` at most.
    Stop,
}

/// When a service counts as started. No key: as soon as it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ready {
    /// It says `READY=1` to `$NOTIFY_SOCKET`, sd_notify(3).
    #[serde(default)]
    pub notify: bool,
    /// It writes a newline to descriptor 3 (s6's protocol).
    #[serde(default)]
    pub newline: bool,
    /// It answers.
    #[serde(flatten)]
    pub check: Checks,
    /// Later than this it has failed. 1s to 10min.
    #[serde(default = "Ready::default_within")]
    pub within: Span,
}

/// How a running service is looked after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// What is asked; no key: what `[ready]` asks.
    #[serde(flatten)]
    pub check: Checks,
    /// Between two tries. 1s to 1h.
    pub every: Span,
    /// How long one try may take. 100ms to `every`.
    #[serde(default = "Health::default_timeout")]
    pub timeout: Span,
    /// So many in a row, then it is restarted. 1 to 100.
    pub failures: u32,
}

/// At most one way to ask a service how it is. Most services name none, and PID 1 holds many.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Ways")]
pub struct Checks(pub(super) Option<Box<Ways>>);

/// The keys of [`Checks`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ways {
    /// An answer 200 to 299 to GET.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// A connection is taken, `[::1]:2379`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<String>,
    /// The CRI's `Status` says that the runtime is ready; the path of its socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cri: Option<String>,
    /// BIRD's `show status` answers; the path of its control socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bird: Option<String>,
    /// A worker of ours answers a ping; the path of its health socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ping: Option<String>,
}

/// A way to ask a service how it is. `probe` does the asking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// GET of this URL answers 200 to 299.
    Http(String),
    /// A TCP connection to this address is taken.
    Tcp(String),
    /// RuntimeReady on this CRI socket.
    Cri(String),
    /// BIRD answers on this control socket.
    Bird(String),
    /// A worker answers on this health socket with `ok` and a newline.
    Ping(String),
}

/// What happens when a service ends by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restart {
    /// The rests between tries; the last one repeats. 1 to 16 of 0s to 1h.
    #[serde(default = "Restart::default_rests")]
    pub rests: Cow<'static, [Span]>,
    /// A run this long clears the record of failures.
    #[serde(default = "Restart::default_steady_after")]
    pub steady_after: Span,
}

/// How a service is ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// The signal that asks it to end.
    #[serde(default)]
    pub signal: StopSignal,
    /// Then it is killed. 100ms to 5min.
    #[serde(default = "Stop::default_within")]
    pub within: Span,
    /// Whom a restart kills; the final stop takes the group always.
    #[serde(default)]
    pub kill: Kill,
    /// When on the way down it is stopped (a stop task: run); lower first, the same together. 1 to 9.
    #[serde(default = "Stop::default_stage")]
    pub stage: u8,
}

/// The signal that asks a service to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum StopSignal {
    /// SIGTERM.
    #[default]
    Term,
    /// SIGINT.
    Int,
    /// SIGQUIT.
    Quit,
    /// SIGHUP.
    Hup,
}

/// Whom a restart kills.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kill {
    /// Everything in the service's cgroup.
    #[default]
    Group,
    /// The main process alone: containerd's shims live on, and the pods with them.
    Main,
}

/// What a service may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// Its cgroup below the root, `podruntime/kubelet`; no key: `system/<name>`.
    #[serde(default)]
    pub cgroup: Option<String>,
    /// memory.min: never taken from it. `"96MiB"`.
    #[serde(default)]
    pub memory_min: Bytes,
    /// memory.max; 0: no limit.
    #[serde(default)]
    pub memory_max: Bytes,
    /// oom_score_adj, -999 to 1000 (-1000 is PID 1's).
    #[serde(default)]
    pub oom_score: i16,
}

/// The pods that a service runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pods {
    /// Path of the CRI socket.
    pub cri: String,
    /// Folder of static pod manifests.
    pub manifests: String,
    /// Between looks. 1s to 1h.
    pub every: Span,
    /// The cgroup below the root that holds them all. What still runs there when the disks are to
    /// be unmounted is killed: its mounts would keep a file system alive that seems unmounted.
    pub cgroup: String,
}

/// A size. In TOML `"96MiB"`, `"512KiB"`, `"1GiB"` or a plain number of bytes in quotes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

/// Why a service file was refused. Each message says which file, what is wrong and what is allowed.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// It cannot be read at all.
    #[error("read {file}")]
    Read {
        /// Which file.
        file: String,
        /// Its reason.
        source: std::io::Error,
    },
    /// No TOML, an unknown key, a value of the wrong kind.
    #[error("{file} is not a service file")]
    Unreadable {
        /// Which file.
        file: String,
        /// Line, key, what is allowed.
        source: toml::de::Error,
    },
    /// A file name that is no service name.
    #[error(
        "{file}: the name of a service file is 1 to 32 of a-z, 0-9 and -, a letter first, and .toml"
    )]
    FileName {
        /// Which file.
        file: String,
    },
    /// A value outside its range.
    #[error("{file}: {key} = {given}, allowed is {allowed}")]
    Range {
        /// Which file.
        file: String,
        /// Which key, with its table: `ready.within`.
        key: &'static str,
        /// As it was read.
        given: String,
        /// In words.
        allowed: &'static str,
    },
    /// `after` names nobody.
    #[error("{file}: after = \"{missing}\", but there is no {missing}.toml")]
    UnknownService {
        /// Which file.
        file: String,
        /// Who is not there.
        missing: ServiceName,
    },
    /// Nobody can start first.
    #[error("services wait for each other in a circle: {circle}")]
    Circle {
        /// `a after b after a`.
        circle: String,
    },
}
