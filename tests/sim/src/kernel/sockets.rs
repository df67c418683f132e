// SPDX-License-Identifier: Apache-2.0
//! Sockets: the clients' streams, the workers' packets, the services' notifications, the devices' news.

use std::collections::VecDeque;

use super::Machine;
use super::descriptors::{Id, STREAM, Thing};
use crate::Errno;

/// A socket of packets takes so many; unix(7) counts bytes, with the same effect.
const PACKETS: usize = 48;

/// The kernel keeps so many events of devices for one listener.
const UEVENTS: usize = 24;

impl Machine {
    pub(crate) fn accept(&mut self, number: i32) -> Result<i32, Errno> {
        let Thing::Listener(queue) = self.thing(number)? else { return Err(Errno::INVAL) };
        if queue.is_empty() {
            return Err(Errno::AGAIN);
        }
        self.refuses("accept", &[Errno::MFILE, Errno::NFILE, Errno::NOMEM])?;
        let Thing::Listener(queue) = self.thing(number)? else { return Err(Errno::INVAL) };
        let id = queue.pop_front().ok_or(Errno::AGAIN)?;
        let number = self.open_id(id, 3);
        self.release(id);
        Ok(number)
    }

    /// A client connects; its stream, where PID 1 listens.
    pub(crate) fn connect(&mut self, is_root: bool) -> Option<Id> {
        let listens = |slot: &super::Slot| matches!(slot.thing, Thing::Listener(_));
        let listener = self.things.iter().find(|(_, slot)| listens(slot)).map(|(id, _)| *id)?;
        let (inbox, outbox) = (vec![], vec![]);
        let stream = Thing::Stream { inbox, outbox, is_root, is_shut: false, program: None };
        let id = self.add(stream);
        self.hold(id);
        let Some(Thing::Listener(queue)) = self.at(listener) else { return None };
        queue.push_back(id);
        self.news(listener);
        Some(id)
    }

    pub(crate) fn receive_stream(&mut self, number: i32, into: &mut [u8]) -> Result<usize, Errno> {
        let Thing::Stream { inbox, is_shut, .. } = self.thing(number)? else {
            return Err(Errno::BADF);
        };
        match (inbox.len(), *is_shut) {
            (0, true) => Ok(0),
            (0, false) => Err(Errno::AGAIN),
            (there, _) => {
                let length = there.min(into.len());
                into[..length].copy_from_slice(&inbox[..length]);
                inbox.drain(..length);
                Ok(length)
            }
        }
    }

    /// The program that came with what was received; lost where PID 1 has no number for it.
    pub(crate) fn receive_program(&mut self, number: i32) -> Option<i32> {
        let Ok(Thing::Stream { program, .. }) = self.thing(number) else { return None };
        let id = program.take()?;
        let is_taken = self.refuses("recvmsg", &[Errno::MFILE]).is_ok();
        let number = is_taken.then(|| self.open_id(id, 3));
        self.release(id);
        number
    }

    /// A client sends a program along.
    pub(crate) fn send_program(&mut self, stream: Id) {
        let id = self.add(Thing::Program);
        self.hold(id);
        let before = match self.at(stream) {
            Some(Thing::Stream { program, .. }) => program.replace(id),
            _ => Some(id),
        };
        before.into_iter().for_each(|id| self.release(id));
    }

    pub(crate) fn send_stream(&mut self, number: i32, bytes: &[u8]) -> Result<usize, Errno> {
        self.refuses("send", &[Errno::INTR, Errno::AGAIN])?;
        let Thing::Stream { outbox, is_shut, .. } = self.thing(number)? else {
            return Err(Errno::BADF);
        };
        if *is_shut {
            return Err(Errno::PIPE);
        }
        let length = bytes.len().min(STREAM.saturating_sub(outbox.len()));
        if length == 0 && !bytes.is_empty() {
            return Err(Errno::AGAIN);
        }
        outbox.extend_from_slice(&bytes[..length]);
        Ok(length)
    }

    pub(crate) fn packets(&mut self) -> Result<(i32, i32), Errno> {
        self.refuses("socketpair", &[Errno::MFILE, Errno::NOMEM])?;
        let ours = self.add(Thing::Packets { inbox: VecDeque::new(), peer: 0 });
        let theirs = self.add(Thing::Packets { inbox: VecDeque::new(), peer: ours });
        if let Some(Thing::Packets { peer, .. }) = self.at(ours) {
            *peer = theirs;
        }
        Ok((self.open_id(ours, 3), self.open_id(theirs, 3)))
    }

    pub(crate) fn send_packet(
        &mut self,
        number: i32,
        bytes: &[u8],
        attached: Option<i32>,
    ) -> Result<(), Errno> {
        self.refuses("sendmsg", &[Errno::NOBUFS, Errno::AGAIN])?;
        let attached = attached.map(|number| self.id(number)).transpose()?;
        let id = self.id(number)?;
        self.send_packet_of(id, bytes.to_vec(), attached)
    }

    pub(crate) fn send_packet_of(
        &mut self,
        from: Id,
        bytes: Vec<u8>,
        attached: Option<Id>,
    ) -> Result<(), Errno> {
        let Some(Thing::Packets { peer, .. }) = self.at(from) else { return Err(Errno::BADF) };
        let to = *peer;
        let Some(Thing::Packets { inbox, .. }) = self.at(to) else { return Err(Errno::PIPE) };
        if inbox.len() >= PACKETS {
            return Err(Errno::AGAIN);
        }
        inbox.push_back((bytes, attached));
        attached.into_iter().for_each(|id| self.hold(id));
        self.news(to);
        Ok(())
    }

    /// The next packet, which stays; none where the other end is closed.
    pub(crate) fn peek_packet(&mut self, number: i32) -> Result<Option<Vec<u8>>, Errno> {
        self.refuses("recv", &[Errno::NOMEM])?;
        let id = self.id(number)?;
        match self.things.get(&id).map(|slot| &slot.thing) {
            Some(Thing::Packets { inbox, peer }) => match inbox.front() {
                Some((bytes, _)) => Ok(Some(bytes.clone())),
                None if self.things.contains_key(peer) => Err(Errno::AGAIN),
                None => Ok(None),
            },
            _ => Err(Errno::BADF),
        }
    }

    pub(crate) fn pass_packet(&mut self, number: i32) {
        let Ok(id) = self.id(number) else { return };
        if let Some((_, attached)) = self.take_packet(id) {
            attached.into_iter().for_each(|id| self.release(id));
        }
    }

    pub(crate) fn take_packet(&mut self, id: Id) -> Option<(Vec<u8>, Option<Id>)> {
        let Some(Thing::Packets { inbox, .. }) = self.at(id) else { return None };
        inbox.pop_front()
    }

    /// A process says something to the notify socket.
    pub(crate) fn notifies(&mut self, pid: u32, words: &str) {
        let found = self.things.iter_mut().find_map(|(id, slot)| match &mut slot.thing {
            Thing::Notify(queue) => Some((*id, queue)),
            _ => None,
        });
        if let Some((id, queue)) = found {
            queue.push_back((pid, words.to_owned()));
            self.news(id);
        }
    }

    /// PID 1 takes a word away. From now on nobody but itself knows it: the node must hear what a main process said.
    pub(crate) fn pass_word(&mut self, number: i32) {
        let Ok(Thing::Notify(queue)) = self.thing(number) else { return };
        let Some((pid, words)) = queue.pop_front() else { return };
        self.has_taken = true;
        let lives = |process: &&super::Process| process.is_main && process.ended.is_none();
        let main = self.processes.get(&pid).filter(lives);
        let service = main.and_then(|process| process.service.clone());
        if crate::notify::says_ready(words.as_bytes()) {
            self.unheard.extend(service);
        }
    }

    /// The kernel tells of a device.
    pub(crate) fn announces(&mut self, pairs: &[(&str, &str)]) {
        let owned = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let owned: Vec<(String, String)> = owned.collect();
        let mut heard = Vec::new();
        for (id, slot) in &mut self.things {
            if let Thing::Uevents { queue, is_lost } = &mut slot.thing {
                if queue.len() < UEVENTS {
                    queue.push_back(owned.clone());
                } else {
                    *is_lost = true;
                }
                heard.push(*id);
            }
        }
        heard.into_iter().for_each(|id| self.news(id));
    }

    pub(crate) fn open_key(&mut self, path: &str) -> Result<i32, Errno> {
        self.refuses("open", &[Errno::MFILE])?;
        let name = path.trim_start_matches("/dev/input/");
        match self.inputs.get(name) {
            Some(true) => {
                let name = name.to_owned();
                let id = self.add(Thing::Key { name, pressed: false, is_gone: false });
                Ok(self.open_id(id, 3))
            }
            Some(false) | None => Err(Errno::NOENT),
        }
    }
}
