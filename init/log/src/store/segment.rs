// SPDX-License-Identifier: Apache-2.0
//! A segment: a file of lines, all of one boot. Its first line says which.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::line;
use crate::entry::Entry;

/// The first line of a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    /// The boot of all its entries.
    pub(crate) boot: String,
    /// Where the kernel's ring goes on after all earlier segments.
    pub(crate) kernel_next: u64,
}

/// What a file still holds after a power cut.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    pub(crate) header: Option<Header>,
    /// Where its last good line ends.
    pub(crate) end: u64,
    /// Where the kernel's ring goes on.
    pub(crate) kernel_next: u64,
}

/// The numbers and sizes of the segments in `folder`, oldest first.
pub(crate) fn list(folder: &Path) -> io::Result<Vec<(u64, u64)>> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder)? {
        let file = file?;
        let name = file.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".log")?.parse().ok());
        if let Some(number) = number {
            found.push((number, file.metadata()?.len()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The file of a segment.
pub(crate) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:016}.log"))
}

/// Reads a segment's first line.
pub(crate) fn header(file: &File) -> Option<Header> {
    let mut bytes = [0; 256];
    let read = file.read_at(&mut bytes, 0).ok()?;
    let first = bytes.get(..read)?.split(|byte| *byte == b'\n').next()?;
    serde_json::from_slice(line::read(first)?).ok()
}

/// Reads one chunk of whole lines from `offset` on and gives each good line's own place, its end
/// and its JSON to `take` until that says no. The place to go on from; none at the end.
pub(crate) fn scan(
    file: &File,
    offset: u64,
    chunk: &mut Vec<u8>,
    mut take: impl FnMut(u64, u64, &[u8]) -> bool,
) -> io::Result<Option<u64>> {
    chunk.resize(CHUNK, 0);
    let read = file.read_at(chunk, offset)?;
    let bytes = chunk.get(..read).unwrap_or_default();
    let mut at = offset;
    for whole in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Some(text) = whole.strip_suffix(b"\n") else { break };
        let end = at.saturating_add(whole.len().try_into().unwrap_or(u64::MAX));
        if let Some(json) = line::read(text)
            && !take(at, end, json)
        {
            return Ok(Some(at));
        }
        at = end;
    }
    if at > offset {
        return Ok(Some(at));
    }
    // A whole chunk without a newline is no line of ours: pass over it.
    let is_full = read == CHUNK;
    Ok(is_full.then(|| offset.saturating_add(u64::try_from(read).unwrap_or(u64::MAX))))
}

/// Finds the last good line of a file, and where the kernel's ring goes on.
pub(crate) fn recover(file: &File) -> io::Result<Recovered> {
    let mut found = Recovered { header: header(file), ..Recovered::default() };
    found.kernel_next = found.header.as_ref().map_or(0, |header| header.kernel_next);
    let (mut chunk, mut at) = (Vec::new(), 0);
    while let Some(next) = scan(file, at, &mut chunk, |_, end, json| {
        found.end = end;
        if let Ok(Entry { sequence: Some(sequence), .. }) = serde_json::from_slice(json) {
            found.kernel_next = found.kernel_next.max(sequence.saturating_add(1));
        }
        true
    })? {
        at = next;
    }
    Ok(found)
}

/// Longer than any line: an entry of 16 KiB of words and 8 KiB of fields at most doubles in JSON.
const CHUNK: usize = 64 * 1024;
