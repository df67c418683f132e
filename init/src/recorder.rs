// SPDX-License-Identifier: Apache-2.0
//! The last committed state in a memfd: what PID 1's next life goes on from after a crash.
//!
//! Two slots are written in turn, each with a checksum, so that a crash in the middle of a write
//! leaves the one before. The descriptor has a number that the next life knows.

use std::hash::Hasher;

use kubermesh_node::node::Node;
use kubermesh_node::time::{Span, Time};
use kubermesh_sys::descriptor::OwnedFd;
use kubermesh_sys::{Errno, inherited, memory};
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher24;

use crate::held::Kept;

/// The memfd and what was last written to it.
pub(crate) struct Recorder {
    memory: OwnedFd,
    sequence: u64,
    last: Vec<u8>,
}

/// What is written down.
#[derive(Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) node: Node,
    pub(crate) kept: Kept,
    /// When PID 1 crashed, oldest first.
    pub(crate) crashes: Vec<Time>,
}

/// Why there is no record to go on from.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    #[error("the record of PID 1's last life is not there")]
    Absent(#[source] Errno),
    #[error("both slots of the record of PID 1's last life are damaged")]
    Damaged,
    #[error("the record of PID 1's last life is of another version")]
    Foreign(#[from] serde_json::Error),
    #[error("write the record")]
    Write(#[source] Errno),
}

/// Where the next life finds it: above what services' descriptors reach in practice.
pub(crate) const NUMBER: i32 = 900;

/// Bytes for a slot; the whole state of fifty services is about 60 KiB.
const SLOT: u64 = 1 << 20;

/// Sequence, length and checksum, 8 bytes each.
const HEADER: usize = 24;

/// So many crashes within [`CRASH_WINDOW`] and the machine starts again instead.
pub(crate) const CRASH_BUDGET: usize = 3;
pub(crate) const CRASH_WINDOW: Span = Span::from_secs(60);

impl Recorder {
    /// A new record.
    pub(crate) fn create() -> Result<Self, RecordError> {
        let memory = memory::create(c"kubermesh-state", NUMBER).map_err(RecordError::Write)?;
        Ok(Self { memory, sequence: 0, last: Vec::new() })
    }

    /// The record of the last life.
    pub(crate) fn inherit() -> Result<(Self, Record), RecordError> {
        let memory = inherited::take(NUMBER).map_err(RecordError::Absent)?;
        let slots = [read_slot(&memory, 0), read_slot(&memory, SLOT)];
        let newest = slots.into_iter().flatten().max_by_key(|(sequence, _)| *sequence);
        let (sequence, bytes) = newest.ok_or(RecordError::Damaged)?;
        let record = serde_json::from_slice(&bytes)?;
        Ok((Self { memory, sequence, last: Vec::new() }, record))
    }

    /// Writes the state down, where it is not what was written last.
    pub(crate) fn commit(&mut self, record: &Record) -> Result<(), RecordError> {
        let bytes = serde_json::to_vec(record)?;
        if bytes == self.last {
            return Ok(());
        }
        self.sequence = self.sequence.wrapping_add(1);
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let mut slot = Vec::with_capacity(bytes.len().saturating_add(HEADER));
        for word in [self.sequence, length, checksum(self.sequence, &bytes)] {
            slot.extend_from_slice(&word.to_ne_bytes());
        }
        slot.extend_from_slice(&bytes);
        memory::write_at(&self.memory, &slot, offset(self.sequence)).map_err(RecordError::Write)?;
        self.last = bytes;
        Ok(())
    }
}

const fn offset(sequence: u64) -> u64 {
    if sequence.is_multiple_of(2) { 0 } else { SLOT }
}

fn checksum(sequence: u64, bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher24::new();
    hasher.write_u64(sequence);
    hasher.write(bytes);
    hasher.finish()
}

fn read_slot(memory: &OwnedFd, at: u64) -> Option<(u64, Vec<u8>)> {
    let mut header = [0; HEADER];
    let read = memory::read_at(memory, &mut header, at).ok()?;
    let mut words =
        header.chunks_exact(8).filter_map(|word| word.try_into().ok()).map(u64::from_ne_bytes);
    let (sequence, length, sum) = (words.next()?, words.next()?, words.next()?);
    if read < HEADER || length > SLOT {
        return None;
    }
    let mut bytes = vec![0; usize::try_from(length).ok()?];
    let body_at = at.checked_add(u64::try_from(HEADER).ok()?)?;
    let read = memory::read_at(memory, &mut bytes, body_at).ok()?;
    (read == bytes.len() && checksum(sequence, &bytes) == sum).then_some((sequence, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kubermesh_node::service::Catalog;

    fn record(crashes: Vec<Time>) -> Record {
        let node = Node::new(&Catalog::default(), &[], "test");
        Record { node, kept: Kept::default(), crashes }
    }

    #[test]
    fn a_torn_write_leaves_the_state_before_it() {
        let mut recorder = Recorder::create().unwrap();
        recorder.commit(&record(vec![])).unwrap();
        recorder.commit(&record(vec![Time::from_millis(1)])).unwrap();
        let second_at = offset(2);
        assert_eq!(read_slot(&recorder.memory, second_at).unwrap().0, 2);
        memory::write_at(&recorder.memory, b"torn", second_at + 40).unwrap();
        assert!(read_slot(&recorder.memory, second_at).is_none());
        assert_eq!(read_slot(&recorder.memory, offset(1)).unwrap().0, 1);
    }
}
