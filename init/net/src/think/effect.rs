// SPDX-License-Identifier: Apache-2.0
//! What a node's network may ask for. Each is idempotent: asked twice, it is done once.

use std::fmt;
use std::net::Ipv6Addr;

use super::link::LinkIndex;

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Write `/proc/sys/net/ipv6/conf/<port>/<key>`.
    Set { link: LinkIndex, port: String, key: &'static str, value: &'static str },
    /// Give a link its MTU in bytes.
    Resize { link: LinkIndex, mtu: u32 },
    /// Give a link one more name.
    Name { link: LinkIndex, altname: String },
    /// Bring a link up.
    Raise { link: LinkIndex },
    /// Give a link a /128.
    AddAddress { link: LinkIndex, address: Ipv6Addr },
    /// Replace BIRD's configuration.
    WriteBirdConfig(String),
    /// Replace the pods' network.
    WriteConflist(String),
    /// Ask BIRD.
    Ask(Question),
    /// Tell PID 1 that this worker does its work.
    SayReady,
}

/// What BIRD is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// To say its log here too: it has no other way to tell of a neighbour unasked.
    Echo,
    /// To read its configuration again.
    Configure,
    /// Who its neighbours are.
    Neighbours,
}

impl Effect {
    /// The link that it is about.
    pub(crate) const fn link(&self) -> Option<LinkIndex> {
        match self {
            Self::Set { link, .. }
            | Self::Resize { link, .. }
            | Self::Name { link, .. }
            | Self::Raise { link }
            | Self::AddAddress { link, .. } => Some(*link),
            Self::WriteBirdConfig(_) | Self::WriteConflist(_) | Self::Ask(_) | Self::SayReady => {
                None
            }
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set { port, key, value, .. } => {
                write!(out, "set net.ipv6.conf.{port}.{key} to {value}")
            }
            Self::Resize { mtu, .. } => write!(out, "set the MTU to {mtu} bytes"),
            Self::Name { altname, .. } => write!(out, "name it {altname}"),
            Self::Raise { .. } => write!(out, "bring it up"),
            Self::AddAddress { address, .. } => write!(out, "add {address}/128"),
            Self::WriteBirdConfig(_) => write!(out, "write BIRD's configuration"),
            Self::WriteConflist(_) => write!(out, "write the pods' network"),
            Self::Ask(question) => write!(out, "ask BIRD to {question:?}"),
            Self::SayReady => write!(out, "say ready"),
        }
    }
}
