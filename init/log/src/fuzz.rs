// SPDX-License-Identifier: Apache-2.0
//! Ways in for the fuzz targets (`tests/fuzz`), which see no more of a crate than others do. Only
//! a build with `cfg(fuzzing)` has them.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use kubermesh_node::time::Time;
use rustix::fs::MemfdFlags;

use crate::entry::{Entry, Priority, Source};
use crate::intake;
use crate::read::{Conversation, View};
use crate::store::{Queue, segment};

/// A datagram of journald's native protocol.
#[must_use]
pub fn journal(bytes: &[u8]) -> Option<Entry> {
    intake::native::decode(bytes)
}

/// A datagram of syslog's.
#[must_use]
pub fn syslog(bytes: &[u8]) -> Entry {
    intake::syslog::decode(bytes)
}

/// A record of `/dev/kmsg`.
#[must_use]
pub fn kernel(bytes: &[u8]) -> Option<Entry> {
    intake::record::decode(bytes)
}

/// The lines of what a pipe gave in these pieces, each with whether it goes on.
#[must_use]
pub fn lines<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<(Vec<u8>, bool)> {
    let (mut lines, mut got) = (intake::lines::Lines::default(), Vec::new());
    for piece in pieces {
        lines.feed(piece, |line| got.push((line.bytes.to_vec(), line.continues)));
    }
    got.extend(lines.finish().map(|line| (line, false)));
    got
}

/// What a file of the store holds, whoever wrote it.
#[derive(Debug)]
pub struct Segment {
    /// The boot that its first line names.
    pub boot: Option<String>,
    /// Where its last good line ends.
    pub end: u64,
    /// Each good line's place, its end and its JSON.
    pub lines: Vec<(u64, u64, Vec<u8>)>,
    /// In so many steps it was read.
    pub steps: usize,
}

/// Reads a segment from its first byte to its last.
///
/// # Errors
/// The machine has no memory for it.
pub fn segment(bytes: &[u8]) -> std::io::Result<Segment> {
    let mut file = File::from(rustix::fs::memfd_create("segment", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    let found = segment::recover(&file)?;
    let (mut chunk, mut at, mut lines, mut steps) = (Vec::new(), 0, Vec::new(), 0_usize);
    while let Some(next) = segment::scan(&file, at, &mut chunk, |from, to, json| {
        lines.push((from, to, json.to_vec()));
        true
    })? {
        at = next;
        steps = steps.saturating_add(1);
    }
    Ok(Segment { boot: found.header.map(|header| header.boot), end: found.end, lines, steps })
}

/// What a reader gets who says this, of a log with two entries.
///
/// # Errors
/// The machine has no sockets for it.
pub fn reader(said: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut queue = Queue::default();
    for (number, message) in (1..).zip(["up", "down\n\u{1}"]) {
        let mut entry = Entry::said(Source::Output, "bird", Priority::INFO, message.as_bytes());
        entry.number = number;
        queue.push(entry);
    }
    let view = View { folder: None, queue: &queue, boot: "0123456789abcdef0123456789abcdef" };
    let (mut ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    theirs.set_nonblocking(true)?;
    let mut conversation = Conversation::with(theirs);
    let (mut heard, mut chunk, mut bytes) = (Vec::new(), Vec::new(), [0; 8192]);
    for piece in said.chunks(4096).chain([&[][..]]) {
        if conversation.has_ended || ours.write_all(piece).is_err() {
            break;
        }
        for _ in 0..TURNS {
            conversation.hear(&view);
            let more = conversation.go_on(&view, &mut chunk, Time::default());
            while let Ok(read @ 1..) = ours.read(&mut bytes) {
                heard.extend_from_slice(bytes.get(..read).unwrap_or_default());
            }
            if !more && !conversation.is_full() || conversation.has_ended {
                break;
            }
        }
    }
    Ok(heard)
}

/// More than any conversation of ours wants for 4 KiB of calls.
const TURNS: usize = 1000;
