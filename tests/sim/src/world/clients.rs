// SPDX-License-Identifier: Apache-2.0
//! Those who ask over the control socket: polite, hasty, silent, deaf, and some who say nonsense.

use std::collections::VecDeque;

use kubermesh_node::invariants::{Invariant, demand};
use kubermesh_node::service::ServiceName;

use super::agenda::Happening;
use crate::kernel::{Id, Machine, Thing};

/// A client.
#[derive(Debug)]
pub(crate) struct Client {
    stream: Id,
    /// What it asked and waits for: when, and which service shall be started once more than so often.
    waits: VecDeque<(u64, Option<(ServiceName, u64)>)>,
    /// Sent in part.
    unsent: Vec<u8>,
    /// Heard in part.
    heard: Vec<u8>,
    /// Never reads.
    is_deaf: bool,
    /// Hangs up then.
    until: u64,
    questions: u64,
    /// It wants another program in PID 1's place, and from then on only asks how the node is.
    upgrades: bool,
}

impl Client {
    /// A jump of the clock is not PID 1's delay.
    pub(crate) fn is_patient(&mut self, by: u64) {
        self.waits.iter_mut().for_each(|(at, _)| *at += by);
    }
}

/// A question must be answered within this, or the connection end: a socket that is not to be had is asked for again
/// every 20 s.
const PATIENCE: u64 = 300_000_000;

const CLIENTS: usize = 40;

impl Machine {
    pub(crate) fn client_comes(&mut self) {
        if self.clients.len() >= CLIENTS {
            return;
        }
        let is_root = self.chance.percent(70);
        let Some(stream) = self.connect(is_root) else { return };
        self.last_client += 1;
        let number = self.last_client;
        let until = self.now + self.chance.below(40_000_000);
        let (is_deaf, questions) = (self.chance.percent(15), 1 + self.chance.below(12));
        let (waits, unsent, heard) = (VecDeque::new(), vec![], vec![]);
        let upgrades = false;
        let client = Client { stream, waits, unsent, heard, is_deaf, until, questions, upgrades };
        self.clients.insert(number, client);
        self.later(0, Happening::Client(number));
    }

    pub(crate) fn client_goes_on(&mut self, number: u64) {
        let Some(mut client) = self.clients.remove(&number) else { return };
        let Some(Thing::Stream { outbox, .. }) = self.at(client.stream) else { return };
        if !client.is_deaf {
            client.heard.append(outbox);
        }
        while let Some(end) = client.heard.iter().position(|byte| *byte == 0) {
            let answer: Vec<u8> = client.heard.drain(..=end).collect();
            let is_refusal = answer.windows(8).any(|part| part == b"\"error\":");
            if let Some((_, Some((name, starts)))) = client.waits.pop_front()
                && !is_refusal
            {
                self.granted += 1;
                let promised = self.promised.entry(name).or_default();
                *promised = starts.max(*promised);
            }
        }
        let waits_since = client.waits.front().map(|(at, _)| *at);
        let is_late = waits_since.is_some_and(|at| !client.is_deaf && self.now - at > PATIENCE);
        let verdict = demand(Invariant::Wish, !is_late, || {
            format!("client {number} waits for an answer since {waits_since:?}")
        });
        self.demand(verdict);
        let is_done = client.questions == 0 && client.waits.is_empty();
        if self.now > client.until && (is_done || client.is_deaf) {
            if let Some(Thing::Stream { is_shut, .. }) = self.at(client.stream) {
                *is_shut = true;
            }
            return self.news(client.stream);
        }
        if client.questions > 0 && self.chance.one_in(2) {
            client.questions -= 1;
            self.client_asks(number, &mut client);
        }
        let within = self.chance.below(2_000_000);
        self.clients.insert(number, client);
        self.later(within, Happening::Client(number));
    }

    fn client_asks(&mut self, number: u64, client: &mut Client) {
        let names: Vec<ServiceName> = self.specs.iter().map(|(name, _)| name.clone()).collect();
        let name = names[self.chance.index(names.len())].clone();
        let (mut method, mut parameters, mut restarted) = ("Status", "{}".to_owned(), None);
        match self.chance.below(24) {
            _ if client.upgrades => {}
            0..=3 => method = "Services",
            4..=6 => method = "Why",
            7..=8 => method = "Links",
            9 => {
                method = "Identify";
                parameters = "{\"lasts\":\"5s\"}".into();
            }
            10..=15 => {
                method = "Restart";
                parameters = format!("{{\"service\":\"{name}\"}}");
                let starts = self.starts.get(&name).copied().unwrap_or(0);
                restarted = Some((name, starts));
            }
            16 if self.chance.one_in(60) => method = "Reboot",
            17 if self.chance.one_in(60) => method = "PowerOff",
            18 => {
                client.unsent.extend_from_slice(b"nonsense\0");
                client.waits.clear();
                client.is_deaf = true;
            }
            19 => method = "Nothing",
            20 if self.chance.one_in(4) => {
                method = "UpgradeInit";
                client.upgrades = true;
                if !self.chance.one_in(8) {
                    self.send_program(client.stream);
                }
            }
            _ => {}
        }
        let call =
            format!("{{\"method\":\"org.kubermesh.Node.{method}\",\"parameters\":{parameters}}}\0");
        client.unsent.extend_from_slice(call.as_bytes());
        client.waits.push_back((self.now, restarted));
        let half = self.chance.index(client.unsent.len() + 1);
        let sent =
            if self.chance.one_in(4) && client.questions > 0 { half } else { client.unsent.len() };
        self.told(|| {
            format!("> client {number} asks {method}, {sent} of {} bytes", client.unsent.len())
        });
        let bytes: Vec<u8> = client.unsent.drain(..sent).collect();
        if let Some(Thing::Stream { inbox, .. }) = self.at(client.stream) {
            inbox.extend_from_slice(&bytes);
        }
        self.news(client.stream);
    }
}
