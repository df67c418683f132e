// SPDX-License-Identifier: Apache-2.0
//! The writes to a stick in their order, and the stick as it would be had the power failed at one of them.
//!
//! QEMU's `blklogwrites` writes the format of Linux' dm-log-writes (Documentation/admin-guide/device-mapper/
//! log-writes.rst): a superblock, then for each request a header that fills one sector and its data.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

/// A record of writes, read from its file.
pub struct WriteLog {
    file: File,
    sector_bytes: u64,
    entries: Vec<Entry>,
    stick_bytes: Option<u64>,
}

/// Where the power fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Right after the flush with this number, counted from 0: all before is there, nothing after.
    AfterFlush(usize),
    /// Before the flush with this number is done: of the last write before it only the first sectors arrived.
    /// The write before that is lost whole, as a cache that sorts its writes would.
    TornBeforeFlush {
        /// The flush that was not reached.
        flush: usize,
        /// How many sectors of the last write are there.
        sectors: u64,
    },
    /// After so many requests, in the order of the log.
    AfterRequest(usize),
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    sector: u64,
    sectors: u64,
    flags: u64,
    /// Where its data lies in the log.
    data: u64,
}

impl WriteLog {
    /// Reads the headers. A log that QEMU had no time to close is read as far as it is whole.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
        let length = file.metadata().context("length of the log")?.len();
        let sector_bytes = superblock(&file).with_context(|| format!("read {}", path.display()))?;
        let mut entries = Vec::new();
        let mut place = sector_bytes;
        while place + sector_bytes <= length {
            let entry = read_entry(&file, place, sector_bytes)?;
            let data = if entry.flags & DISCARD == 0 { entry.sectors * sector_bytes } else { 0 };
            // A hole, or a write whose end is missing: what QEMU was doing when it was killed.
            if (entry.sectors == 0 && entry.flags == 0) || entry.data + data > length {
                break;
            }
            entries.push(entry);
            place = entry.data + data;
        }
        Ok(Self { file, sector_bytes, entries, stick_bytes: None })
    }

    /// The stick is larger than its image.
    pub(crate) fn of_stick(mut self, stick_bytes: u64) -> Self {
        self.stick_bytes = Some(stick_bytes);
        self
    }

    /// How many flushes it holds.
    pub fn flushes(&self) -> usize {
        self.entries.iter().filter(|entry| entry.is_flush()).count()
    }

    /// The writes between the flush before this one and it, each as its first byte on the stick and its length.
    pub fn writes_before(&self, flush: usize) -> Result<Vec<(u64, u64)>> {
        let (from, end) = self.span_of(flush)?;
        let writes = self.entries[from..end].iter().filter(|entry| entry.is_write());
        let bytes =
            |entry: &Entry| (entry.sector * self.sector_bytes, entry.sectors * self.sector_bytes);
        Ok(writes.map(bytes).collect())
    }

    /// How many requests it holds: writes, discards and flushes.
    pub fn requests(&self) -> usize {
        self.entries.len()
    }

    /// Makes `stick` a copy of the raw image `base` with the writes that had arrived at the cut.
    pub fn materialise(&self, base: &Path, stick: &Path, cut: Cut) -> Result<()> {
        copy_sparse(base, stick)?;
        let stick_file = File::options()
            .write(true)
            .open(stick)
            .with_context(|| format!("open {}", stick.display()))?;
        if let Some(bytes) = self.stick_bytes {
            stick_file.set_len(bytes).with_context(|| format!("lengthen {}", stick.display()))?;
        }
        let plan = self.plan(cut)?;
        for (entry, sectors) in plan {
            self.write(&stick_file, entry, sectors)
                .with_context(|| format!("write {}", stick.display()))?;
        }
        Ok(())
    }

    /// The requests that arrived, each with the number of its sectors that did.
    fn plan(&self, cut: Cut) -> Result<Vec<(Entry, u64)>> {
        let whole = |entries: &[Entry]| {
            entries.iter().map(|entry| (*entry, entry.sectors)).collect::<Vec<_>>()
        };
        match cut {
            Cut::AfterFlush(flush) => Ok(whole(&self.entries[..self.place_of(flush)?])),
            Cut::AfterRequest(count) => {
                ensure!(
                    count <= self.entries.len(),
                    "the log has {} requests, not {count}",
                    self.entries.len()
                );
                Ok(whole(&self.entries[..count]))
            }
            Cut::TornBeforeFlush { flush, sectors } => {
                let (from, end) = self.span_of(flush)?;
                let safe = whole(&self.entries[..from]);
                let loose: Vec<Entry> = self.entries[from..end]
                    .iter()
                    .copied()
                    .filter(|entry| entry.is_write())
                    .collect();
                let Some((last, before)) = loose.split_last() else { return Ok(safe) };
                let arrived = &before[..before.len().saturating_sub(1)];
                let torn = (*last, sectors.min(last.sectors));
                Ok(safe.into_iter().chain(whole(arrived)).chain([torn]).collect())
            }
        }
    }

    /// From the flush before this one to it.
    fn span_of(&self, flush: usize) -> Result<(usize, usize)> {
        let from = if flush == 0 { 0 } else { self.place_of(flush - 1)? };
        Ok((from, self.place_of(flush)?))
    }

    fn place_of(&self, flush: usize) -> Result<usize> {
        let mut flushes = self.entries.iter().enumerate().filter(|(_, entry)| entry.is_flush());
        match flushes.nth(flush) {
            Some((place, _)) => Ok(place),
            None => bail!("the log has {} flushes, there is no number {flush}", self.flushes()),
        }
    }

    fn write(&self, stick: &File, entry: Entry, sectors: u64) -> Result<()> {
        if !entry.is_write() {
            return Ok(());
        }
        let mut buffer = vec![0; usize::try_from(sectors * self.sector_bytes)?];
        self.file.read_exact_at(&mut buffer, entry.data).context("read the log")?;
        stick.write_all_at(&buffer, entry.sector * self.sector_bytes).context("replay a write")
    }
}

impl Entry {
    fn is_flush(&self) -> bool {
        self.flags & FLUSH != 0
    }

    /// What a discard leaves is anyone's guess: the old bytes are as good as any.
    fn is_write(&self) -> bool {
        self.flags & (DISCARD | MARK) == 0 && self.sectors > 0
    }
}

fn superblock(file: &File) -> Result<u64> {
    let mut bytes = [0; 28];
    // A short read leaves zeros: the log of a guest that wrote nothing is empty.
    file.read_at(&mut bytes, 0).context("read its superblock")?;
    if bytes == [0; 28] {
        // QEMU writes it at the first flush. A guest that takes the stick for one without a cache never flushes.
        return Ok(LOG_SECTOR_BYTES);
    }
    ensure!(number(&bytes, 0) == MAGIC && number(&bytes, 8) == 1, "not a log of writes");
    let sector_bytes = number(&bytes, 20) >> 32;
    ensure!(
        sector_bytes.is_power_of_two() && sector_bytes >= 512,
        "a log with sectors of {sector_bytes} bytes"
    );
    Ok(sector_bytes)
}

fn read_entry(file: &File, place: u64, sector_bytes: u64) -> Result<Entry> {
    let mut bytes = [0; 32];
    file.read_exact_at(&mut bytes, place).context("read the header of a write")?;
    Ok(Entry {
        sector: number(&bytes, 0),
        sectors: number(&bytes, 8),
        flags: number(&bytes, 16),
        data: place + sector_bytes,
    })
}

fn number(bytes: &[u8], at: usize) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(eight)
}

fn copy_sparse(from: &Path, to: &Path) -> Result<()> {
    let _ = fs::remove_file(to);
    let argv = ["cp", "--sparse=always", "--reflink=auto", "--"];
    let mut argv: Vec<std::ffi::OsString> = argv.iter().map(Into::into).collect();
    argv.extend([from.as_os_str().to_owned(), to.as_os_str().to_owned()]);
    crate::process::run(&argv).map(drop)
}

/// What `stick.rs` asks QEMU for.
const LOG_SECTOR_BYTES: u64 = 512;

/// WRITE_LOG_MAGIC and the flags of log-writes.rst.
const MAGIC: u64 = 0x006a_7366_7773_6872;
const FLUSH: u64 = 1;
const DISCARD: u64 = 4;
const MARK: u64 = 8;

#[cfg(test)]
mod tests;
