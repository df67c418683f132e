// SPDX-License-Identifier: Apache-2.0
//! What may happen to a node's network.

use std::net::{IpAddr, Ipv6Addr};

use super::effect::Effect;
use super::link::{Address, Link, LinkIndex};

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// All links and addresses there are: at the start, and after the kernel lost messages.
    Snapshot { links: Vec<Link>, addresses: Vec<Address> },
    /// A link is new or has changed.
    Link(Link),
    /// A link is gone.
    LinkGone(LinkIndex),
    /// An address is new or has changed.
    Address(Address),
    /// An address is gone.
    AddressGone { link: LinkIndex, address: Ipv6Addr },
    /// The kernel refused.
    Refused { effect: Effect, sentence: String },
    /// What BIRD said.
    Bird(BirdEvent),
    /// The moment of [`super::network::Network::deadline`], or any later one.
    Clock,
}

/// What BIRD said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BirdEvent {
    /// It answers.
    Up,
    /// It does not answer.
    Down,
    /// It runs our configuration.
    Configured,
    /// It refuses our configuration, in its own words.
    Unconfigured(String),
    /// Its log says that something about neighbours has changed.
    Stirred,
    /// All its neighbours.
    Neighbours(Vec<Adjacency>),
    /// It drops what comes in at this port. It names the sender by address or, once it has read
    /// so far, by router id.
    BadPacket { port: String, from: IpAddr, reason: String },
}

/// A line of BIRD's list of neighbours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Adjacency {
    /// Dotted.
    pub(crate) router_id: String,
    /// RFC 2328 10.1.
    pub(crate) state: String,
    /// Our port.
    pub(crate) port: String,
    /// Its link-local address.
    pub(crate) address: Option<Ipv6Addr>,
}
