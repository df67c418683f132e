// SPDX-License-Identifier: Apache-2.0
//! The kernel's notices of links and addresses, rtnetlink(7).
//!
//! Subscribed first and dumped then, so that nothing falls between. When the kernel had to drop
//! notices (ENOBUFS, told ahead of those that are still waiting), a new monitor begins so again.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the kernel's messages have hundreds of kinds, and a new one is passed over"
)]

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use kubermesh_node::channel::AddressState;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use netlink_packet_route::link::{
    LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo, LinkLayerType, LinkMessage, Prop,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::{Handle, MulticastGroup};
use tokio::time::timeout;

use super::device;
use crate::ground::Ground;
use crate::think::event::Event;
use crate::think::link::{Address, Link, LinkIndex, LinkKind};

/// The kernel's notices, and a way to ask it.
pub(crate) struct Monitor {
    notices: BoxStream<'static, NetlinkMessage<RouteNetlinkMessage>>,
    /// The subscription's task lives as long.
    _until: Handle,
    handle: Handle,
    ground: Ground,
}

/// What the kernel had to say.
pub(crate) enum Notice {
    /// Something happened.
    Of(Event),
    /// It had to drop notices. Those that it told before come after this one: a monitor that is
    /// opened now knows what there is, this one does not.
    Dropped,
}

/// Why the kernel's notices cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// No socket.
    #[error("open a netlink socket")]
    Open(#[source] std::io::Error),
    /// The socket closed.
    #[error("the netlink socket closed")]
    Closed,
    /// No list.
    #[error("list {what}")]
    List {
        /// Links or addresses.
        what: &'static str,
        /// Its reason.
        source: rtnetlink::Error,
    },
    /// A list that never ended.
    #[error("list links and addresses: no answer from the kernel within 5s")]
    Silent,
}

impl Monitor {
    /// Subscribes. The connections are driven by tasks on the current runtime.
    ///
    /// Requests go over a socket of their own: where notices fill a socket the kernel drops
    /// answers too.
    pub(crate) fn open(ground: &Ground) -> Result<Self, MonitorError> {
        let groups = [MulticastGroup::Link, MulticastGroup::Ipv6Ifaddr];
        let (subscription, until, notices) =
            rtnetlink::new_multicast_connection(&groups).map_err(MonitorError::Open)?;
        let (connection, handle, _) = rtnetlink::new_connection().map_err(MonitorError::Open)?;
        tokio::spawn(subscription);
        tokio::spawn(connection);
        let notices = notices.map(|(message, _sender)| message).boxed();
        Ok(Self { notices, _until: until, handle, ground: ground.clone() })
    }

    /// For requests.
    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// All there is.
    pub(crate) async fn snapshot(&self) -> Result<Event, MonitorError> {
        timeout(PATIENCE, self.list()).await.unwrap_or(Err(MonitorError::Silent))
    }

    async fn list(&self) -> Result<Event, MonitorError> {
        let (mut links, mut addresses) = (Vec::new(), Vec::new());
        let request = self.handle.link().get();
        let request =
            request.set_filter_mask(AddressFamily::Unspec, vec![LinkExtentMask::SkipStats]);
        let mut answers = request.execute().boxed();
        while let Some(answer) = answers.next().await {
            let message = answer.map_err(|source| MonitorError::List { what: "links", source })?;
            links.extend(link(&self.ground, &message));
        }
        let mut answers = self.handle.address().get().execute().boxed();
        while let Some(answer) = answers.next().await {
            let message =
                answer.map_err(|source| MonitorError::List { what: "addresses", source })?;
            addresses.extend(address(&message));
        }
        Ok(Event::Snapshot { links, addresses })
    }

    /// The next notice that matters here. May be dropped while it waits: nothing is lost, since
    /// it waits for one thing only and has taken nothing by then.
    pub(crate) async fn next(&mut self) -> Result<Notice, MonitorError> {
        loop {
            let message = self.notices.next().await.ok_or(MonitorError::Closed)?;
            match message.payload {
                NetlinkPayload::InnerMessage(notice) => {
                    if let Some(event) = translate(&self.ground, &notice) {
                        return Ok(Notice::Of(event));
                    }
                }
                NetlinkPayload::Overrun(_) => return Ok(Notice::Dropped),
                // An acknowledgement or error of a request whose asker has gone.
                _ => {}
            }
        }
    }
}

/// What a notice means here, if anything.
pub(crate) fn translate(ground: &Ground, notice: &RouteNetlinkMessage) -> Option<Event> {
    match notice {
        RouteNetlinkMessage::NewLink(message) => link(ground, message).map(Event::Link),
        // A bridge tells so that a port has left it: the link itself stays.
        RouteNetlinkMessage::DelLink(message)
            if message.header.interface_family == AddressFamily::Unspec =>
        {
            Some(Event::LinkGone(LinkIndex::new(message.header.index)))
        }
        RouteNetlinkMessage::NewAddress(message) => address(message).map(Event::Address),
        RouteNetlinkMessage::DelAddress(message) => address(message)
            .map(|gone| Event::AddressGone { link: gone.link, address: gone.address }),
        _ => None,
    }
}

fn link(ground: &Ground, message: &LinkMessage) -> Option<Link> {
    if message.header.interface_family != AddressFamily::Unspec {
        return None;
    }
    let name = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    })?;
    let kind = kind(ground, message, &name)?;
    let carrier = message.header.flags.contains(LinkFlags::LowerUp);
    let speed_mbit = if carrier { device::speed_mbit(&ground.sys, &name) } else { None };
    Some(Link {
        index: LinkIndex::new(message.header.index),
        kind,
        up: message.header.flags.contains(LinkFlags::Up),
        carrier,
        mtu: mtu(message),
        altnames: altnames(message),
        speed_mbit,
        name,
    })
}

/// None for a link that does not matter here.
fn kind(ground: &Ground, message: &LinkMessage, name: &str) -> Option<LinkKind> {
    if message.header.flags.contains(LinkFlags::Loopback) {
        return Some(LinkKind::Loopback);
    }
    if ground.also_ports.iter().any(|port| port == name) {
        return Some(LinkKind::Port { place: format!("test-0000:{name}") });
    }
    let is_ether = message.header.link_layer_type == LinkLayerType::Ether;
    if !is_ether || is_virtual(message) {
        return None;
    }
    device::port_place(&ground.sys, name).map(|place| LinkKind::Port { place })
}

/// The kernel names the kind of a link that somebody made: veth, vlan, bond, bridge.
fn is_virtual(message: &LinkMessage) -> bool {
    message.attributes.iter().any(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => {
            infos.iter().any(|info| matches!(info, LinkInfo::Kind(_)))
        }
        _ => false,
    })
}

fn mtu(message: &LinkMessage) -> u32 {
    let known = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Mtu(mtu) => Some(*mtu),
        _ => None,
    });
    known.unwrap_or(0)
}

fn altnames(message: &LinkMessage) -> Vec<String> {
    let mut names = Vec::new();
    for attribute in &message.attributes {
        if let LinkAttribute::PropList(properties) = attribute {
            names.extend(properties.iter().filter_map(|property| match property {
                Prop::AltIfName(name) => Some(name.clone()),
                _ => None,
            }));
        }
    }
    names
}

fn address(message: &AddressMessage) -> Option<Address> {
    let mut address: Option<Ipv6Addr> = None;
    let mut flags = AddressFlags::from_bits_retain(u32::from(message.header.flags.bits()));
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Address(IpAddr::V6(given)) => address = Some(*given),
            // All 32 bits of them; the header has room for eight only.
            AddressAttribute::Flags(all) => flags = *all,
            _ => {}
        }
    }
    let state = if flags.contains(AddressFlags::Dadfailed) {
        AddressState::Duplicate
    } else if flags.contains(AddressFlags::Tentative) {
        AddressState::Tentative
    } else {
        AddressState::Ready
    };
    let link = LinkIndex::new(message.header.index);
    address.map(|address| Address { link, address, state })
}

/// For both lists. The kernel needs a millisecond; it waits while somebody holds the lock of all
/// links, as a driver that brings its port up does.
const PATIENCE: Duration = Duration::from_secs(5);
