// SPDX-License-Identifier: Apache-2.0
//! Pipes, from both sides.

use std::collections::VecDeque;

use super::Machine;
use super::descriptors::{Id, PIPE, Thing};
use crate::Errno;

impl Machine {
    pub(crate) fn pipe(&mut self) -> Result<(i32, i32), Errno> {
        self.refuses("pipe", &[Errno::MFILE, Errno::NFILE])?;
        let reader = self.add(Thing::Reader { bytes: VecDeque::new(), writer: 0 });
        let writer = self.add(Thing::Writer { reader });
        if let Some(Thing::Reader { writer: place, .. }) = self.at(reader) {
            *place = writer;
        }
        Ok((self.open_id(reader, 3), self.open_id(writer, 3)))
    }

    pub(crate) fn read_pipe(&mut self, number: i32, into: &mut [u8]) -> Result<usize, Errno> {
        let id = self.id(number)?;
        let has_writer = match self.things.get(&id).map(|slot| &slot.thing) {
            Some(Thing::Reader { writer, .. }) => self.things.contains_key(writer),
            _ => return Err(Errno::BADF),
        };
        let Some(Thing::Reader { bytes, .. }) = self.at(id) else { return Err(Errno::BADF) };
        if bytes.is_empty() {
            return if has_writer { Err(Errno::AGAIN) } else { Ok(0) };
        }
        let length = bytes.len().min(into.len());
        for (place, byte) in into.iter_mut().zip(bytes.drain(..length)) {
            *place = byte;
        }
        Ok(length)
    }

    /// Up to a page of what is there, which stays.
    pub(crate) fn peek_pipe(&mut self, number: i32) -> Result<Vec<u8>, Errno> {
        self.refuses("tee", &[Errno::MFILE, Errno::NOMEM])?;
        let id = self.id(number)?;
        match self.things.get(&id).map(|slot| &slot.thing) {
            Some(Thing::Reader { bytes, writer }) => {
                if bytes.is_empty() && self.things.contains_key(writer) {
                    return Err(Errno::AGAIN);
                }
                Ok(bytes.iter().take(4096).copied().collect())
            }
            _ => Err(Errno::BADF),
        }
    }

    pub(crate) fn has_room(&mut self, writer: i32) -> Result<bool, Errno> {
        self.refuses("poll", &[Errno::NOMEM, Errno::INTR])?;
        let id = self.id(writer)?;
        let Some(Thing::Writer { reader }) = self.at(id) else { return Err(Errno::BADF) };
        let reader = *reader;
        let Some(Thing::Reader { bytes, .. }) = self.at(reader) else { return Ok(true) };
        Ok(bytes.len() < PIPE)
    }

    /// What a process writes; as much as there is room for. None where nobody can ever read it.
    pub(crate) fn write_pipe(&mut self, writer: Id, text: &[u8]) -> Option<usize> {
        let Some(Thing::Writer { reader }) = self.at(writer) else { return None };
        let reader = *reader;
        let Some(Thing::Reader { bytes, .. }) = self.at(reader) else { return None };
        let length = text.len().min(PIPE - bytes.len());
        bytes.extend(&text[..length]);
        self.news(reader);
        Some(length)
    }

    /// The log worker reads all there is.
    pub(crate) fn drain(&mut self, reader: Id) {
        if let Some(Thing::Reader { bytes, .. }) = self.at(reader) {
            bytes.clear();
        }
    }
}
