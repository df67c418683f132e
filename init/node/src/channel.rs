// SPDX-License-Identifier: Apache-2.0
//! What PID 1 and its workers say to each other: reports come in, orders go out.
//!
//! One JSON object a SEQPACKET message, at most [`MESSAGE_LIMIT`] bytes, over a socket pair that
//! the worker inherits. Workers report facts; PID 1 alone merges them into a
//! [`Status`]. A worker that starts gets every order that still holds, so
//! that a restart loses nothing.

use std::net::Ipv6Addr;

use serde::{Deserialize, Serialize};

use crate::service::{Check, ServiceName};
use crate::status::Status;
use crate::time::{Span, Time};

/// The longest message in bytes. A longer one is refused by the sender.
pub const MESSAGE_LIMIT: usize = 64 * 1024;

/// The version of this protocol. Both ends come from one image; after a live upgrade of PID 1
/// they may not, and a message of another version is refused in words.
pub const VERSION: u32 = 1;

/// A message with the version of the protocol that it is written in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// [`VERSION`] of the sender.
    pub version: u32,
    /// What is said.
    pub body: T,
}

/// From a worker to PID 1: a fact. Each report replaces the worker's earlier one of its kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// The answer to [`Order::Ping`], with its number.
    Pong {
        /// The number of the ping.
        number: u64,
    },
    /// From `net`: each port and what is at its other end.
    Network(NetworkReport),
    /// From `probe`: a service's health has changed, or was found for the first time.
    Health(HealthReport),
    /// From `probe`: the pods of this node have changed.
    Pods(PodsReport),
    /// From `light`: what is plugged in.
    Lights(LightsReport),
    /// From `log`: how the store is.
    Log(LogReport),
    /// From `storage`: where STATE and DATA are, and who this node is.
    Storage(StorageReport),
}

/// From PID 1 to a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// To `probe`: answer with [`Report::Pong`].
    Ping {
        /// Comes back in the answer.
        number: u64,
    },
    /// To `light` and `console`: the status as it is now.
    Status(Status),
    /// To `light`: blink so that a person finds this machine.
    Identify {
        /// For how long; zero ends it.
        lasts: Span,
    },
    /// To `probe`: look at this service from now on. Replaces an earlier watch of it.
    Watch(Watch),
    /// To `probe`: look no longer.
    Unwatch {
        /// Whose checks end.
        service: ServiceName,
    },
    /// To `probe`: report the pods that run from these manifests.
    WatchPods(WatchPods),
    /// To `log`, with one descriptor attached (SCM_RIGHTS): the read end of a service's output.
    /// PID 1 keeps its own copy and reads it itself while no log worker lives.
    Output {
        /// Whose output it is.
        service: ServiceName,
    },
    /// To `log`: storage has reported, so a STATE that is not mounted by now will not be.
    Stored,
}

/// A service to look at periodically.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// Which service.
    pub service: ServiceName,
    /// Its run: reports carry it back, so that a late one never hits the next run.
    pub instance: u64,
    /// How to ask.
    pub check: Check,
    /// From the start of one try to the start of the next; tighter ([`Watch::EAGER`]) until first healthy.
    pub every: Span,
    /// How long one try may take.
    pub timeout: Span,
    /// So many failures in a row make it unhealthy.
    pub failures: u32,
}

impl Watch {
    /// Between tries until the service has answered for the first time: readiness is news.
    pub const EAGER: Span = Span::from_millis(200);
}

/// Pods to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchPods {
    /// Path of the CRI socket.
    pub cri: String,
    /// Folder of static pod manifests.
    pub manifests: String,
    /// Between looks.
    pub every: Span,
}

/// What `net` knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkReport {
    /// Each Ethernet port, by name.
    pub ports: Vec<Port>,
    /// The node's /128 is on `lo` and no longer tentative.
    pub address_ready: bool,
    /// BIRD answers on its control socket and runs our configuration.
    pub routing: bool,
    /// What is wrong, in words: failed duplicate address detection, a duplicate router id …
    pub faults: Vec<Wrong>,
}

/// A port of this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// The kernel's name, `eth0`.
    pub name: String,
    /// Where it is: an altname by PCI or USB path, `pci-0000:01:00.0`.
    pub place: String,
    /// What it is for.
    pub role: PortRole,
    /// A cable with a living other end.
    pub carrier: bool,
    /// Mbit/s where the driver tells.
    pub speed_mbit: Option<u32>,
    /// Its link-local address.
    pub address: AddressState,
    /// The router at the other end, where there is one.
    pub neighbour: Option<Neighbour>,
}

/// What a port is for; node.toml decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PortRole {
    /// Carries the mesh: the default.
    #[default]
    Mesh,
    /// Leads out of the mesh; takes addresses from router advertisements.
    Uplink,
    /// Left alone.
    Off,
}

/// Duplicate address detection on a port's link-local address, RFC 4862.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AddressState {
    /// There is none.
    Absent,
    /// Detection goes on.
    Tentative,
    /// Unique on its link.
    Ready,
    /// Somebody else has it.
    Duplicate,
}

/// A router at the other end of a cable, as BIRD sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour {
    /// Its OSPF router id, dotted.
    pub router_id: String,
    /// Its link-local address.
    pub address: Option<Ipv6Addr>,
    /// OSPF's word for the adjacency (RFC 2328 10.1): `Full`, `Init`, `ExStart` …
    pub state: String,
    /// Whether that is `Full`.
    pub is_full: bool,
    /// Since when this state.
    pub since: Time,
}

/// Something wrong, from a worker; PID 1 adds since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wrong {
    /// What is at fault: `port eth1`, `blink(1) 20001234`.
    pub subject: String,
    /// What is wrong with it.
    pub sentence: String,
}

/// A service's health as `probe` found it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthReport {
    /// Which service.
    pub service: ServiceName,
    /// Which run of it, from the [`Watch`].
    pub instance: u64,
    /// The last try succeeded, or not `failures` in a row.
    pub healthy: bool,
    /// What was heard, or what was waited for: `http://[::1]:10248/healthz answered 500`.
    pub sentence: String,
}

/// The pods of this node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodsReport {
    /// How many manifests there are.
    pub wanted: u32,
    /// How many of them have each container running.
    pub running: u32,
    /// What the first missing one waits for.
    pub sentence: String,
}

/// The lights of this node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LightsReport {
    /// Serial numbers of the blink(1)s that are plugged in and answer.
    pub devices: Vec<String>,
    /// What is wrong with one.
    pub faults: Vec<Wrong>,
}

/// The log store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogReport {
    /// Entries kept so far.
    pub entries: u64,
    /// Entries lost so far, all causes.
    pub dropped: u64,
    /// The store is in memory only, or full, or gone.
    pub faults: Vec<Wrong>,
}

/// Where this node keeps what outlives a boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageReport {
    /// Device of STATE, mounted on `/state`; none: this node runs from memory.
    pub state: Option<String>,
    /// Device of DATA, mounted on `/var`; none: `/var` is in memory.
    pub data: Option<String>,
    /// 128 bits that are this node, 32 hex digits (decision 14).
    pub identity: String,
    /// The text of node.toml on the boot stick's ESP, where there is one.
    pub node_toml: Option<String>,
    /// How the kernel's last life ended if not well, and where its record is.
    #[serde(default)]
    pub crash: Option<String>,
    /// What is wrong: no free space, a read-only stick, a disk that does not answer.
    pub faults: Vec<Wrong>,
}
