// SPDX-License-Identifier: Apache-2.0
//! The store's place: in memory first, on STATE as soon as that is mounted.
//!
//! What was kept in memory is carried over, then removed there. A power cut between loses
//! nothing; a kill between may leave a line in both, which its number tells.

use std::fs::File;
use std::path::PathBuf;

use super::folder::{Bounds, Folder, FolderError};
use super::{line, segment};
use crate::entry::Entry;
use crate::ground::Ground;

/// The store on its place. Everything here may wait for a disk.
#[derive(Debug)]
pub(crate) struct Disk {
    ground: Ground,
    boot: String,
    folder: Option<Folder>,
    is_on_state: bool,
}

/// What the store is asked for.
#[derive(Debug)]
pub(crate) enum Ask {
    /// Look for a (better) place.
    Look,
    /// Keep these lines.
    Write {
        /// Whole lines.
        lines: Vec<u8>,
        /// Where the kernel's ring goes on after them.
        kernel_next: u64,
        /// They are worth waiting for the disk.
        urgent: bool,
    },
    /// Bring all to the disk.
    Sync,
}

/// How the store is after it did as it was asked.
#[derive(Debug)]
pub(crate) struct Told {
    /// What went wrong, in words.
    pub(crate) outcome: Result<(), String>,
    /// The folder of the segments.
    pub(crate) folder: Option<PathBuf>,
    /// It outlives this boot.
    pub(crate) is_on_state: bool,
    /// Where the kernel's ring goes on after all that is kept.
    pub(crate) kernel_next: u64,
}

impl Disk {
    pub(crate) fn new(ground: Ground) -> Self {
        let boot = ground.boot_id();
        Self { ground, boot, folder: None, is_on_state: false }
    }

    /// Does as it is asked. May take as long as the disk does.
    pub(crate) fn perform(&mut self, ask: Ask) -> Told {
        let outcome = match ask {
            Ask::Look => self.look(),
            Ask::Write { lines, kernel_next, urgent } => self.write(&lines, kernel_next, urgent),
            Ask::Sync => self.folder.as_mut().map_or(Ok(()), Folder::sync),
        };
        Told {
            outcome: outcome.map_err(|refusal| format!("{refusal}: {}", refusal.source)),
            folder: self.folder.as_ref().map(|folder| folder.path().to_owned()),
            is_on_state: self.is_on_state,
            kernel_next: self.folder.as_ref().map_or(0, Folder::kernel_next),
        }
    }

    fn write(&mut self, lines: &[u8], next: u64, urgent: bool) -> Result<(), FolderError> {
        if self.folder.is_none() {
            self.look()?;
        }
        let Some(folder) = &mut self.folder else { return Ok(()) };
        folder.append(lines, next)?;
        if urgent { folder.sync() } else { Ok(()) }
    }

    fn look(&mut self) -> Result<(), FolderError> {
        let has_state = self.ground.has_state();
        if self.is_on_state && !has_state {
            // It is being unmounted: an open file would keep it busy.
            self.folder = None;
            self.is_on_state = false;
        }
        if self.folder.is_none() {
            let bounds = Bounds::within(MEMORY_LIMIT, u64::MAX);
            self.folder = Some(Folder::open(&self.ground.memory, bounds, &self.boot)?);
        }
        if has_state && !self.is_on_state { self.move_over() } else { Ok(()) }
    }

    fn move_over(&mut self) -> Result<(), FolderError> {
        let path = self.ground.state.join("log");
        let room = rustix::fs::statvfs(&self.ground.state)
            .map_or(u64::MAX, |told| told.f_blocks.saturating_mul(told.f_frsize));
        let mut better = Folder::open(&path, Bounds::within(STATE_LIMIT, room), &self.boot)?;
        let Some(old) = &self.folder else { return Ok(()) };
        let already = last_number(&better, &self.boot);
        carry(old, &mut better, already)?;
        better.sync()?;
        let memory = old.path().to_owned();
        self.folder = Some(better);
        self.is_on_state = true;
        for (number, _) in segment::list(&memory).unwrap_or_default() {
            // One that stays is carried over again after our next start, and told by its numbers.
            let _ = std::fs::remove_file(segment::path(&memory, number));
        }
        Ok(())
    }
}

/// The number of the last entry of this boot; 0 where there is none.
fn last_number(folder: &Folder, boot: &str) -> u64 {
    let segments = segment::list(folder.path()).unwrap_or_default();
    let mut last = 0;
    for (number, _) in segments.into_iter().rev() {
        let Ok(file) = File::open(segment::path(folder.path(), number)) else { continue };
        if segment::header(&file).is_none_or(|header| header.boot != boot) {
            break;
        }
        let (mut chunk, mut at) = (Vec::new(), 0);
        while let Ok(Some(next)) = segment::scan(&file, at, &mut chunk, |_, _, json| {
            if let Ok(entry) = serde_json::from_slice::<Entry>(json) {
                last = last.max(entry.number);
            }
            true
        }) {
            at = next;
        }
        if last > 0 {
            break;
        }
    }
    last
}

/// Adds all entries of `old` after number `already` to `better`.
fn carry(old: &Folder, better: &mut Folder, already: u64) -> Result<(), FolderError> {
    for (number, _) in segment::list(old.path()).unwrap_or_default() {
        let Ok(file) = File::open(segment::path(old.path(), number)) else { continue };
        let (mut chunk, mut at) = (Vec::new(), 0);
        loop {
            let mut lines = Vec::new();
            let next = segment::scan(&file, at, &mut chunk, |_, _, json| {
                let entry = serde_json::from_slice::<Entry>(json);
                if entry.is_ok_and(|entry| entry.number > already) {
                    line::write(json, &mut lines);
                }
                true
            });
            if !lines.is_empty() {
                better.append(&lines, old.kernel_next())?;
            }
            let Ok(Some(next)) = next else { break };
            at = next;
        }
    }
    Ok(())
}

/// In memory it is the node's memory: enough for a boot, and for finding out why STATE is missing.
const MEMORY_LIMIT: u64 = 4 * 1024 * 1024;
/// Weeks of a quiet node; a small part of the smallest stick.
const STATE_LIMIT: u64 = 64 * 1024 * 1024;
