// SPDX-License-Identifier: Apache-2.0
//! This node's network: what there is, what it shall be, what to do about the difference.
//!
//! ```text
//! kernel's events ─► links, addresses ─┐
//! BIRD's events ───► neighbours ───────┴─► step ─► effects (nothing, once all is as it shall be)
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;

use kubermesh_node::channel::{AddressState, PortRole};
use kubermesh_node::plan::Plan;
use kubermesh_node::time::{Span, Time};

use super::effect::Effect;
use super::event::Event;
use super::link::{Address, Link, LinkIndex, LinkKind};
use super::neighbours::Neighbours;
use super::{bird_config, conflist, ports};

/// The network of this node.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) plan: Plan,
    pub(crate) links: BTreeMap<LinkIndex, Link>,
    pub(crate) addresses: BTreeMap<(LinkIndex, Ipv6Addr), AddressState>,
    pub(crate) neighbours: Neighbours,
    /// What the kernel refused, by link: not asked again until the link is plugged in again.
    pub(crate) refused: BTreeMap<LinkIndex, Vec<(Effect, String)>>,
    /// Wait no longer than this for a port that never says how its address is.
    give_up_at: Time,
    pub(crate) gave_up: bool,
    is_ready: bool,
    prepared: BTreeSet<LinkIndex>,
    bird_config: Option<String>,
    has_conflist: bool,
}

impl Network {
    /// A network of which nothing is known yet.
    pub(crate) const fn new(plan: Plan, now: Time) -> Self {
        Self {
            plan,
            links: BTreeMap::new(),
            addresses: BTreeMap::new(),
            neighbours: Neighbours::new(),
            refused: BTreeMap::new(),
            give_up_at: now.after(PATIENCE),
            gave_up: false,
            is_ready: false,
            prepared: BTreeSet::new(),
            bird_config: None,
            has_conflist: false,
        }
    }

    /// When to say [`Event::Clock`]; never, once this is none.
    pub(crate) fn deadline(&self) -> Option<Time> {
        (!self.is_ready && !self.gave_up).then_some(self.give_up_at)
    }

    /// Has said [`Effect::SayReady`].
    pub(crate) const fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Takes in what happened and says what to do about it.
    pub(crate) fn step(&mut self, event: Event, now: Time) -> Vec<Effect> {
        let mut effects = self.take_in(event, now);
        for link in self.links.values() {
            effects.extend(ports::wish(&self.plan, link, &mut self.prepared));
        }
        effects.extend(self.wish_address());
        effects.retain(|effect| !self.is_refused(effect));
        effects.extend(self.wish_files());
        if !self.is_ready && self.may_be_ready() {
            self.is_ready = true;
            effects.push(Effect::SayReady);
        }
        effects
    }

    fn take_in(&mut self, event: Event, now: Time) -> Vec<Effect> {
        match event {
            Event::Snapshot { links, addresses } => {
                let gone: Vec<LinkIndex> = self.links.keys().copied().collect();
                let there: BTreeSet<LinkIndex> = links.iter().map(|link| link.index).collect();
                gone.into_iter().filter(|index| !there.contains(index)).for_each(|index| {
                    self.forget_link(index);
                });
                self.addresses = addresses.into_iter().map(by_link).collect();
                let looks = links.into_iter().filter_map(|link| self.take_link(link)).last();
                looks.into_iter().collect()
            }
            Event::Link(link) => self.take_link(link).into_iter().collect(),
            Event::LinkGone(index) => {
                self.forget_link(index);
                self.neighbours.look().into_iter().collect()
            }
            Event::Address(address) => {
                self.addresses.extend([by_link(address)]);
                Vec::new()
            }
            Event::AddressGone { link, address } => {
                self.addresses.remove(&(link, address));
                Vec::new()
            }
            Event::Refused { effect, sentence } => {
                if let Some(index) = effect.link().filter(|index| self.links.contains_key(index)) {
                    self.refused.entry(index).or_default().push((effect, sentence));
                }
                Vec::new()
            }
            Event::Bird(said) => self.neighbours.hear(said, now),
            Event::Clock => {
                self.gave_up |= self.give_up_at <= now;
                Vec::new()
            }
        }
    }

    /// A carrier that came or went is news of a neighbour; BIRD may say it later.
    fn take_link(&mut self, link: Link) -> Option<Effect> {
        let (name, carrier) = (link.name.clone(), link.carrier);
        let before = self.links.insert(link.index, link);
        if !carrier {
            self.neighbours.forget_port(&name);
        }
        if before.is_some_and(|before| before.carrier == carrier) {
            return None;
        }
        self.neighbours.look()
    }

    fn forget_link(&mut self, index: LinkIndex) {
        if let Some(link) = self.links.remove(&index) {
            self.neighbours.forget_port(&link.name);
        }
        self.addresses.retain(|(link, _), _| *link != index);
        self.prepared.remove(&index);
        self.refused.remove(&index);
    }

    fn wish_address(&self) -> Option<Effect> {
        let lo = self.loopback()?;
        let address = self.plan.mesh.address;
        let missing = !self.addresses.contains_key(&(lo, address));
        missing.then_some(Effect::AddAddress { link: lo, address })
    }

    fn wish_files(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        // Nothing is written before the ports are known: BIRD would start with none of them.
        if self.links.is_empty() {
            return effects;
        }
        if !self.has_conflist {
            self.has_conflist = true;
            effects.push(Effect::WriteConflist(conflist::render(&self.plan)));
        }
        let text = bird_config::render(&self.plan, &self.mesh_port_names());
        if self.bird_config.as_ref() != Some(&text) {
            effects.push(Effect::WriteBirdConfig(text.clone()));
            effects.extend(self.neighbours.configure());
            self.bird_config = Some(text);
        }
        effects
    }

    fn is_refused(&self, effect: &Effect) -> bool {
        let refused = effect.link().and_then(|index| self.refused.get(&index));
        refused.is_some_and(|refused| refused.iter().any(|(known, _)| known == effect))
    }

    fn loopback(&self) -> Option<LinkIndex> {
        let mut links = self.links.values();
        links.find(|link| link.kind == LinkKind::Loopback).map(|link| link.index)
    }

    /// Mesh ports, by name: the order in BIRD's file does not depend on the order of plugging in.
    fn mesh_port_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .links
            .values()
            .filter(|link| self.role(link) == Some(PortRole::Mesh))
            .map(|link| link.name.as_str())
            .collect();
        names.sort_unstable();
        names
    }

    /// What a port is for; none for what is no port.
    pub(crate) fn role(&self, link: &Link) -> Option<PortRole> {
        match &link.kind {
            LinkKind::Loopback => None,
            LinkKind::Port { place } => Some(self.plan.role(&link.name, place)),
        }
    }

    /// The node's /128 is on `lo`.
    pub(crate) fn has_address(&self) -> bool {
        let state =
            self.loopback().and_then(|lo| self.addresses.get(&(lo, self.plan.mesh.address)));
        state == Some(&AddressState::Ready)
    }

    /// How a port's link-local address is. One that is unique is enough.
    pub(crate) fn link_local(&self, index: LinkIndex) -> AddressState {
        let first = (index, Ipv6Addr::UNSPECIFIED);
        let last = (index, Ipv6Addr::from_bits(u128::MAX));
        let on_link = self.addresses.range(first..=last);
        let states = on_link.filter(|((_, address), _)| address.is_unicast_link_local());
        states.map(|(_, state)| *state).max_by_key(rank).unwrap_or(AddressState::Absent)
    }

    /// Mesh ports whose address is still being looked at; a port without a cable is not one.
    pub(crate) fn tentative_ports(&self) -> impl Iterator<Item = &Link> {
        self.links.values().filter(|link| {
            self.role(link) == Some(PortRole::Mesh)
                && (link.carrier || !link.up && !self.refused.contains_key(&link.index))
                && rank(&self.link_local(link.index)) < rank(&AddressState::Duplicate)
        })
    }

    fn may_be_ready(&self) -> bool {
        let files = self.bird_config.is_some() && self.has_conflist;
        files && self.has_address() && (self.gave_up || self.tentative_ports().next().is_none())
    }
}

/// How far duplicate address detection is: from [`AddressState::Duplicate`] on it has ended.
const fn rank(state: &AddressState) -> u8 {
    match state {
        AddressState::Absent => 0,
        AddressState::Tentative => 1,
        AddressState::Duplicate => 2,
        AddressState::Ready => 3,
    }
}

const fn by_link(known: Address) -> ((LinkIndex, Ipv6Addr), AddressState) {
    ((known.link, known.address), known.state)
}

/// Duplicate address detection takes one to two seconds (RFC 4862 5.4.2: a random delay, then
/// RetransTimer). A port that says nothing for so long has a fault, and the node goes on.
const PATIENCE: Span = Span::from_secs(10);

#[cfg(test)]
#[path = "network_tests.rs"]
pub(crate) mod tests;
