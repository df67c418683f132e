// SPDX-License-Identifier: Apache-2.0
//! BIRD and the routers at the other ends of the cables, as far as BIRD has told.

use std::collections::BTreeMap;
use std::net::IpAddr;

use kubermesh_node::channel::Neighbour;
use kubermesh_node::time::Time;

use super::effect::{Effect, Question};
use super::event::{Adjacency, BirdEvent};

/// What is known from BIRD.
#[derive(Debug)]
pub(crate) struct Neighbours {
    is_up: bool,
    is_configured: bool,
    complaint: Option<String>,
    asked: Asked,
    by_port: BTreeMap<String, Neighbour>,
    bad_packets: BTreeMap<String, BadPacket>,
}

/// Packets that BIRD drops: who sends them, and why they are dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadPacket {
    pub(crate) from: IpAddr,
    pub(crate) reason: String,
}

/// At most one question for neighbours is on its way: a burst of changes asks twice, not for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Not,
    Once,
    Again,
}

impl Neighbours {
    /// Of BIRD nothing is known yet.
    pub(crate) const fn new() -> Self {
        Self {
            is_up: false,
            is_configured: false,
            complaint: None,
            asked: Asked::Not,
            by_port: BTreeMap::new(),
            bad_packets: BTreeMap::new(),
        }
    }

    /// BIRD answers and runs our configuration.
    pub(crate) const fn is_routing(&self) -> bool {
        self.is_up && self.is_configured
    }

    /// Why BIRD refuses our configuration.
    pub(crate) fn complaint(&self) -> Option<&str> {
        self.complaint.as_deref()
    }

    /// Who is at the other end of this port.
    pub(crate) fn at(&self, port: &str) -> Option<&Neighbour> {
        self.by_port.get(port)
    }

    /// Whose packets are dropped at which port. One lost on the way to a full adjacency is no fault.
    pub(crate) fn bad_packets(&self) -> impl Iterator<Item = (&String, &BadPacket)> {
        let is_full = |port| self.at(port).is_some_and(|there| there.is_full);
        self.bad_packets.iter().filter(move |(port, _)| !is_full(port.as_str()))
    }

    /// A port lost its cable: whoever was there is nobody's neighbour until BIRD says so again.
    pub(crate) fn forget_port(&mut self, port: &str) {
        self.by_port.remove(port);
        self.bad_packets.remove(port);
    }

    /// What to ask once the configuration has been written anew.
    pub(crate) fn configure(&self) -> Option<Effect> {
        self.is_up.then_some(Effect::Ask(Question::Configure))
    }

    /// What to ask when something may have changed.
    pub(crate) const fn look(&mut self) -> Option<Effect> {
        match (self.is_up, self.asked) {
            (false, _) => None,
            (true, Asked::Not) => {
                self.asked = Asked::Once;
                Some(Effect::Ask(Question::Neighbours))
            }
            (true, Asked::Once | Asked::Again) => {
                self.asked = Asked::Again;
                None
            }
        }
    }

    /// Takes in what BIRD said.
    pub(crate) fn hear(&mut self, event: BirdEvent, now: Time) -> Vec<Effect> {
        match event {
            // It may have started before the file was written anew, so it reads it in any case;
            // an unchanged one changes nothing.
            BirdEvent::Up => {
                self.is_up = true;
                let first = [Question::Echo, Question::Configure].map(Effect::Ask);
                first.into_iter().chain(self.look()).collect()
            }
            BirdEvent::Down => {
                let complaint = self.complaint.take();
                *self = Self { complaint, ..Self::new() };
                Vec::new()
            }
            BirdEvent::Configured => {
                (self.is_configured, self.complaint) = (true, None);
                self.look().into_iter().collect()
            }
            BirdEvent::Unconfigured(words) => {
                (self.is_configured, self.complaint) = (false, Some(words));
                Vec::new()
            }
            BirdEvent::Stirred => self.look().into_iter().collect(),
            BirdEvent::Neighbours(all) => {
                self.replace(all, now);
                let again = self.asked == Asked::Again;
                self.asked = Asked::Not;
                if again { self.look().into_iter().collect() } else { Vec::new() }
            }
            BirdEvent::BadPacket { port, from, reason } => {
                self.bad_packets.insert(port, BadPacket { from, reason });
                Vec::new()
            }
        }
    }

    fn replace(&mut self, all: Vec<Adjacency>, now: Time) {
        let before = std::mem::take(&mut self.by_port);
        for Adjacency { router_id, state, port, address } in all {
            let known = before.get(&port);
            let same = known.filter(|known| known.state == state && known.router_id == router_id);
            let since = same.map_or(now, |same| same.since);
            let is_full = state == "Full";
            if is_full {
                self.bad_packets.remove(&port);
            }
            let neighbour = Neighbour { router_id, address, state, is_full, since };
            // A port is a cable with one other end. A hub has more: the best one is shown.
            match self.by_port.get(&port) {
                Some(shown) if shown.is_full => {}
                Some(_) | None => {
                    self.by_port.insert(port, neighbour);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(state: &str) -> BirdEvent {
        BirdEvent::Neighbours(vec![Adjacency {
            router_id: "10.0.0.9".into(),
            state: state.into(),
            port: "eth0".into(),
            address: None,
        }])
    }

    fn at(seconds: u64) -> Time {
        Time::from_millis(seconds.saturating_mul(1000))
    }

    #[test]
    fn a_burst_of_changes_asks_once_and_once_more() {
        let mut bird = Neighbours::new();
        let neighbours = Effect::Ask(Question::Neighbours);
        let first = bird.hear(BirdEvent::Up, at(1));
        assert_eq!(first.last(), Some(&neighbours));
        assert_eq!(bird.hear(BirdEvent::Stirred, at(1)), []);
        assert_eq!(bird.hear(BirdEvent::Stirred, at(1)), []);
        assert_eq!(bird.hear(row("Init"), at(1)), [neighbours]);
        assert_eq!(bird.hear(row("Init"), at(1)), []);
    }

    #[test]
    fn a_state_keeps_its_since_until_it_changes() {
        let mut bird = Neighbours::new();
        for (second, state, since) in
            [(1, "Init", 1), (2, "Init", 1), (3, "Full", 3), (9, "Full", 3), (10, "Init", 10)]
        {
            bird.hear(row(state), at(second));
            let there = bird.at("eth0").unwrap();
            assert_eq!((there.since, there.is_full), (at(since), state == "Full"));
        }
    }

    #[test]
    fn a_bird_that_went_away_has_no_neighbours() {
        let mut bird = Neighbours::new();
        bird.hear(BirdEvent::Up, at(1));
        bird.hear(BirdEvent::Configured, at(1));
        bird.hear(row("Full"), at(2));
        assert!(bird.is_routing());
        bird.hear(BirdEvent::Down, at(3));
        assert!(!bird.is_routing() && bird.at("eth0").is_none());
        assert_eq!(bird.look(), None);
    }
}
