// SPDX-License-Identifier: Apache-2.0
//! A link and an address, as the kernel tells of them.

use std::fmt;
use std::net::Ipv6Addr;

use kubermesh_node::channel::AddressState;

/// The kernel's number of a link. A link that is plugged in again has another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LinkIndex(u32);

impl LinkIndex {
    /// From the kernel's number.
    pub(crate) const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The kernel's number.
    pub(crate) const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for LinkIndex {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "link {}", self.0)
    }
}

/// A link of a kind that matters here; a pod's veth and its like are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) index: LinkIndex,
    pub(crate) name: String,
    pub(crate) kind: LinkKind,
    /// Up, as far as its owner is concerned.
    pub(crate) up: bool,
    /// Up, as far as the cable is concerned.
    pub(crate) carrier: bool,
    pub(crate) mtu: u32,
    pub(crate) altnames: Vec<String>,
    pub(crate) speed_mbit: Option<u32>,
}

/// What a link is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LinkKind {
    /// `lo`.
    Loopback,
    /// An Ethernet port, by where it is: `pci-0000:01:00.0`.
    Port { place: String },
}

/// An IPv6 address on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) link: LinkIndex,
    pub(crate) address: Ipv6Addr,
    pub(crate) state: AddressState,
}
