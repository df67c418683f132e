// SPDX-License-Identifier: Apache-2.0
//! Descriptors of PID 1 and what they lead to; who has news for its epoll.

use std::collections::{BTreeMap, VecDeque};

use kubermesh_node::invariants::{Invariant, demand};

use super::Machine;
use crate::Errno;

/// An open file of the kernel.
pub(crate) type Id = u64;

/// What a descriptor leads to.
#[derive(Debug)]
pub(crate) enum Thing {
    Epoll,
    Signals,
    Null,
    /// What a child looks at until it has a table of its own.
    Lent,
    Folder(String),
    Log,
    Watchdog,
    Program,
    /// By pages: the record leaves wide gaps.
    Memory(BTreeMap<u64, Vec<u8>>),
    /// PID 1's end of a child's gate, and why the child could not be executed.
    Gate {
        pid: u32,
        serial: u64,
        errno: Option<i32>,
    },
    Reader {
        bytes: VecDeque<u8>,
        writer: Id,
    },
    Writer {
        reader: Id,
    },
    Notify(VecDeque<(u32, String)>),
    Listener(VecDeque<Id>),
    Stream {
        inbox: Vec<u8>,
        outbox: Vec<u8>,
        is_root: bool,
        is_shut: bool,
        /// The program that came with the last bytes.
        program: Option<Id>,
    },
    Packets {
        inbox: VecDeque<(Vec<u8>, Option<Id>)>,
        peer: Id,
    },
    Uevents {
        queue: VecDeque<Vec<(String, String)>>,
        is_lost: bool,
    },
    Key {
        name: String,
        pressed: bool,
        is_gone: bool,
    },
}

/// It, how many hold it, and which epoll hears it.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) thing: Thing,
    pub(crate) holders: u32,
    heard: Vec<Heard>,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    epoll: Id,
    token: u64,
    once: bool,
    has_news: bool,
    wants_room: bool,
}

/// A stream takes so much before its reader reads.
pub(crate) const STREAM: usize = 16 * 1024;

/// A pipe holds so much, pipe(7).
pub(crate) const PIPE: usize = 64 * 1024;

impl Machine {
    pub(crate) fn add(&mut self, thing: Thing) -> Id {
        self.last_id += 1;
        self.things.insert(self.last_id, Slot { thing, holders: 0, heard: vec![] });
        self.last_id
    }

    pub(crate) fn open(&mut self, thing: Thing) -> Result<i32, Errno> {
        self.open_at(thing, 3)
    }

    pub(crate) fn open_at(&mut self, thing: Thing, lowest: i32) -> Result<i32, Errno> {
        self.refuses("open", &[Errno::MFILE, Errno::NFILE])?;
        let id = self.add(thing);
        Ok(self.open_id(id, lowest))
    }

    pub(crate) fn open_id(&mut self, id: Id, lowest: i32) -> i32 {
        let number = (lowest..).find(|number| !self.descriptors.contains_key(number)).unwrap();
        self.descriptors.insert(number, id);
        self.hold(id);
        number
    }

    /// dup2(2) to a number that stays open over exec.
    pub(crate) fn place(&mut self, from: i32, number: i32) -> Result<i32, Errno> {
        self.refuses("dup2", &[Errno::MFILE])?;
        let id = self.id(from)?;
        self.hold(id);
        if let Some(before) = self.descriptors.insert(number, id) {
            self.release(before);
        }
        self.kept.insert(number);
        Ok(number)
    }

    pub(crate) fn close(&mut self, number: i32) {
        self.kept.remove(&number);
        let id = self.descriptors.remove(&number);
        let verdict = demand(Invariant::Leak, id.is_some(), || {
            format!("PID 1 closes {number}, which is not open: it may be another's next time")
        });
        self.demand(verdict);
        id.into_iter().for_each(|id| self.release(id));
    }

    pub(crate) fn hold(&mut self, id: Id) {
        self.things.get_mut(&id).expect("what is held is there").holders += 1;
    }

    pub(crate) fn release(&mut self, id: Id) {
        let Some(slot) = self.things.get_mut(&id) else { return };
        slot.holders -= 1;
        if slot.holders > 0 {
            return;
        }
        match self.things.remove(&id).map(|slot| slot.thing) {
            Some(Thing::Writer { reader }) => self.news(reader),
            Some(Thing::Gate { pid, serial, .. }) => self.gate_closes(pid, serial),
            Some(Thing::Epoll) => {
                let slots = self.things.values_mut();
                slots.for_each(|slot| slot.heard.retain(|heard| heard.epoll != id));
            }
            Some(Thing::Stream { program: Some(id), .. }) => self.release(id),
            Some(Thing::Packets { peer, inbox }) => {
                self.news(peer);
                inbox
                    .into_iter()
                    .filter_map(|(_, attached)| attached)
                    .for_each(|id| self.release(id));
            }
            _ => {}
        }
    }

    pub(crate) fn id(&self, number: i32) -> Result<Id, Errno> {
        self.descriptors.get(&number).copied().ok_or(Errno::BADF)
    }

    pub(crate) fn thing(&mut self, number: i32) -> Result<&mut Thing, Errno> {
        let id = self.id(number)?;
        self.at(id).ok_or(Errno::BADF)
    }

    pub(crate) fn at(&mut self, id: Id) -> Option<&mut Thing> {
        self.things.get_mut(&id).map(|slot| &mut slot.thing)
    }

    pub(crate) fn hear(
        &mut self,
        epoll: i32,
        number: i32,
        token: u64,
        once: bool,
    ) -> Result<(), Errno> {
        let (epoll, id) = (self.id(epoll)?, self.id(number)?);
        let slot = self.things.get_mut(&id).ok_or(Errno::BADF)?;
        if slot.heard.iter().any(|heard| heard.epoll == epoll) {
            return Err(Errno::EXIST);
        }
        slot.heard.push(Heard { epoll, token, once, has_news: true, wants_room: false });
        Ok(())
    }

    pub(crate) fn hear_of_room(
        &mut self,
        epoll: i32,
        number: i32,
        room: bool,
    ) -> Result<(), Errno> {
        let (epoll, id) = (self.id(epoll)?, self.id(number)?);
        let slot = self.things.get_mut(&id).ok_or(Errno::BADF)?;
        let heard = slot.heard.iter_mut().find(|heard| heard.epoll == epoll);
        heard.ok_or(Errno::NOENT)?.wants_room = room;
        Ok(())
    }

    pub(crate) fn unhear(&mut self, epoll: i32, number: i32) -> Result<(), Errno> {
        let (epoll, id) = (self.id(epoll)?, self.id(number)?);
        let slot = self.things.get_mut(&id).ok_or(Errno::BADF)?;
        let before = slot.heard.len();
        slot.heard.retain(|heard| heard.epoll != epoll);
        if slot.heard.len() < before { Ok(()) } else { Err(Errno::NOENT) }
    }

    /// More has come: whoever is told once is told again.
    pub(crate) fn news(&mut self, id: Id) {
        if let Some(slot) = self.things.get_mut(&id) {
            slot.heard.iter_mut().for_each(|heard| heard.has_news = true);
        }
    }

    /// The cgroup whose folder this is.
    pub(crate) fn folder(&mut self, number: i32) -> Option<String> {
        let Ok(Thing::Folder(path)) = self.thing(number) else { return None };
        path.strip_prefix("/sys/fs/cgroup/").map(str::to_owned)
    }

    fn has_something(&self, slot: &Slot) -> bool {
        match &slot.thing {
            Thing::Signals => !self.pending.is_empty(),
            Thing::Reader { bytes, writer } => {
                !bytes.is_empty() || !self.things.contains_key(writer)
            }
            Thing::Notify(queue) => !queue.is_empty(),
            Thing::Listener(queue) => !queue.is_empty(),
            Thing::Stream { inbox, is_shut, .. } => !inbox.is_empty() || *is_shut,
            Thing::Packets { inbox, peer } => !inbox.is_empty() || !self.things.contains_key(peer),
            Thing::Uevents { queue, is_lost } => *is_lost || !queue.is_empty(),
            Thing::Key { pressed, is_gone, .. } => *pressed || *is_gone,
            Thing::Epoll
            | Thing::Null
            | Thing::Lent
            | Thing::Folder(_)
            | Thing::Log
            | Thing::Watchdog
            | Thing::Program
            | Thing::Memory(_)
            | Thing::Gate { .. }
            | Thing::Writer { .. } => false,
        }
    }

    /// Time goes by until something is to be told, or the time is over.
    pub(crate) fn wait(&mut self, epoll: i32, within: u64) -> Vec<u64> {
        self.turn_ends();
        self.has_begun = true;
        let until = self.now.saturating_add(within);
        // On trial the alarm ends the sleep, and the life.
        let rings_at = self.alarm.filter(|_| self.is_on_trial).unwrap_or(u64::MAX);
        let until = until.min(rings_at.max(self.now));
        loop {
            if self.chance.one_in(3) {
                self.now += self.chance.below(3000);
                self.happen_until(self.now);
            }
            let told = self.tell(epoll);
            if !told.is_empty() || self.broken.is_some() {
                return told;
            }
            self.falls_asleep();
            match self.next_happening().filter(|at| *at <= until) {
                Some(at) => {
                    self.now = self.now.max(at);
                    self.happen_until(self.now);
                }
                None => {
                    self.now = self.now.max(until) + self.chance.below(500);
                    return vec![];
                }
            }
        }
    }

    fn tell(&mut self, epoll: i32) -> Vec<u64> {
        let Ok(epoll) = self.id(epoll) else { return vec![] };
        let mut told: Vec<(Id, u64)> = Vec::new();
        for (id, slot) in &self.things {
            for heard in slot.heard.iter().filter(|heard| heard.epoll == epoll) {
                let has_room = heard.wants_room && has_room(slot);
                if (heard.has_news || !heard.once) && (has_room || self.has_something(slot)) {
                    told.push((*id, heard.token));
                }
            }
        }
        self.chance.shuffle(&mut told);
        told.truncate(1 + self.chance.index(32));
        for (id, _) in &told {
            if let Some(slot) = self.things.get_mut(id) {
                slot.heard.iter_mut().for_each(|heard| heard.has_news = false);
            }
        }
        told.into_iter().map(|(_, token)| token).collect()
    }
}

const fn has_room(slot: &Slot) -> bool {
    match &slot.thing {
        Thing::Stream { outbox, is_shut, .. } => *is_shut || outbox.len() < STREAM,
        _ => false,
    }
}
