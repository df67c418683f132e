// SPDX-License-Identifier: Apache-2.0
//! The pipes that services write their output to. PID 1 keeps both ends of each, so a pipe
//! outlives its service's runs and ours.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use super::Slice;
use super::lines::{Line, Lines};
use super::syslog::split_priority;
use crate::entry::{Entry, Priority, Source};

/// All services' pipes.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    pipes: Vec<Pipe>,
}

#[derive(Debug)]
struct Pipe {
    service: String,
    reader: OwnedFd,
    inode: u64,
    lines: Lines,
    priority: Priority,
    has_ended: bool,
}

impl Outputs {
    /// Reads this pipe from now on. The same pipe a second time replaces nothing.
    ///
    /// # Errors
    /// It is no descriptor to read from.
    pub(crate) fn add(&mut self, service: &str, reader: OwnedFd) -> Result<(), Errno> {
        let inode = rustix::fs::fstat(&reader)?.st_ino;
        rustix::io::ioctl_fionbio(&reader, true)?;
        if !self.pipes.iter().any(|pipe| pipe.inode == inode && pipe.service == service) {
            let (service, lines) = (service.to_owned(), Lines::default());
            let (priority, has_ended) = (Priority::INFO, false);
            self.pipes.push(Pipe { service, reader, inode, lines, priority, has_ended });
        }
        Ok(())
    }

    /// The descriptors to wait for, in the order of [`Self::step`]'s numbers.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.pipes.iter().map(|pipe| pipe.reader.as_fd())
    }

    /// A little of one pipe's output; none for now.
    pub(crate) fn step(&mut self, number: usize) -> Option<Slice> {
        let mut slice = Slice::default();
        let pipe = self.pipes.get_mut(number).filter(|pipe| !pipe.has_ended)?;
        let mut bytes = [0; BYTES_A_STEP];
        match rustix::io::read(&pipe.reader, &mut bytes) {
            Ok(read) if read > 0 => {
                pipe.hear(bytes.get(..read).unwrap_or_default(), &mut slice.entries);
            }
            Err(Errno::AGAIN | Errno::INTR) => return None,
            Ok(_) | Err(_) => {
                slice.entries.extend(pipe.finish());
                pipe.has_ended = true;
            }
        }
        Some(slice)
    }

    /// Lets go of pipes that have ended: nobody can write to them any more. Numbers change.
    pub(crate) fn let_go(&mut self) {
        self.pipes.retain(|pipe| !pipe.has_ended);
    }

    /// The lines that have begun; we are about to end.
    pub(crate) fn finish(&mut self) -> Vec<Entry> {
        self.pipes.iter_mut().filter_map(Pipe::finish).collect()
    }
}

impl Pipe {
    fn hear(&mut self, bytes: &[u8], entries: &mut Vec<Entry>) {
        let (service, priority) = (self.service.as_str(), &mut self.priority);
        self.lines.feed(bytes, |line| entries.extend(entry(service, priority, &line)));
    }

    fn finish(&mut self) -> Option<Entry> {
        let bytes = self.lines.finish()?;
        entry(&self.service, &mut self.priority, &Line { bytes: &bytes, continues: false })
    }
}

/// An entry of a line; an empty line says nothing. `priority` is that of a line that goes on.
fn entry(service: &str, priority: &mut Priority, line: &Line<'_>) -> Option<Entry> {
    // sd-daemon(3): `<3>words`.
    let (said, words) = split_priority(line.bytes).unwrap_or((*priority, line.bytes));
    *priority = if line.continues { said } else { Priority::INFO };
    if words.is_empty() {
        return None;
    }
    let mut entry = Entry::said(Source::Output, service, said, words);
    entry.continues = line.continues;
    Some(entry)
}

/// The shortest lines make 256 entries of it: the queue has room for those at any time.
const BYTES_A_STEP: usize = 512;
