// SPDX-License-Identifier: Apache-2.0
//! A bounded folder of segments: new lines at the end of the last, the oldest goes when it is full.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::line;
use super::segment::{self, Header};

/// How much a folder may hold, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// All segments together.
    pub(crate) total: u64,
    /// One of them.
    pub(crate) segment: u64,
}

/// A bounded folder of segments.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    bounds: Bounds,
    boot: String,
    /// Numbers and sizes, oldest first; the last is the open one where one is open.
    segments: VecDeque<(u64, u64)>,
    open: Option<File>,
    /// Where the kernel's ring goes on after all that is kept.
    kernel_next: u64,
    is_dirty: bool,
}

/// Why lines could not be kept.
#[derive(Debug, thiserror::Error)]
#[error("{attempt} {path}")]
pub(crate) struct FolderError {
    attempt: &'static str,
    path: PathBuf,
    pub(crate) source: io::Error,
}

impl Bounds {
    /// `limit`, or a quarter of the file system where that is less: the identity lives there too.
    pub(crate) fn within(limit: u64, file_system: u64) -> Self {
        let total = limit.min(file_system / 4).max(256 * 1024);
        Self { total, segment: (total / 16).max(64 * 1024) }
    }
}

impl Folder {
    /// Opens or makes the folder at `path`, cuts what a power cut tore, goes on where it ended.
    pub(crate) fn open(path: &Path, bounds: Bounds, boot: &str) -> Result<Self, FolderError> {
        let step = |attempt| move |source| FolderError { attempt, path: path.to_owned(), source };
        std::fs::create_dir_all(path).map_err(step("make"))?;
        let segments = segment::list(path).map_err(step("list"))?.into();
        let (open, kernel_next, is_dirty) = (None, 0, false);
        let boot = boot.to_owned();
        let path = path.to_owned();
        let mut folder = Self { path, bounds, boot, segments, open, kernel_next, is_dirty };
        folder.go_on()?;
        Ok(folder)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the kernel's ring goes on after all that is kept of this boot.
    pub(crate) const fn kernel_next(&self) -> u64 {
        self.kernel_next
    }

    /// Adds whole lines at the end: all of them or, after an error, none.
    pub(crate) fn append(&mut self, lines: &[u8], kernel_next: u64) -> Result<(), FolderError> {
        let length = u64::try_from(lines.len()).unwrap_or(u64::MAX);
        let used = self.segments.back().map_or(0, |(_, size)| *size);
        if self.open.is_none() || used.saturating_add(length) > self.bounds.segment {
            self.begin_segment()?;
        }
        self.make_room(length)?;
        self.write(lines)?;
        self.kernel_next = self.kernel_next.max(kernel_next);
        Ok(())
    }

    /// Brings what was appended to the disk.
    pub(crate) fn sync(&mut self) -> Result<(), FolderError> {
        if !std::mem::take(&mut self.is_dirty) {
            return Ok(());
        }
        let synced = self.open.as_ref().map_or(Ok(()), File::sync_data);
        synced.map_err(|source| self.refused("sync", source))
    }

    /// Goes on in the last segment where that is of this boot; its torn end is cut.
    fn go_on(&mut self) -> Result<(), FolderError> {
        let Some((number, size)) = self.segments.pop_back() else { return Ok(()) };
        let path = segment::path(&self.path, number);
        let refused = |source| FolderError { attempt: "recover", path: path.clone(), source };
        let file = File::options().read(true).write(true).open(&path).map_err(refused)?;
        let found = segment::recover(&file).map_err(refused)?;
        if found.end < size {
            file.set_len(found.end).map_err(refused)?;
        }
        self.segments.push_back((number, found.end));
        if found.header.is_some_and(|header| header.boot == self.boot) {
            self.kernel_next = found.kernel_next;
            self.open = Some(file);
        }
        Ok(())
    }

    fn begin_segment(&mut self) -> Result<(), FolderError> {
        // What the last segment holds must not be lost behind a newer one that survives.
        self.sync()?;
        self.open = None;
        let number = self.segments.back().map_or(1, |(number, _)| number.saturating_add(1));
        let path = segment::path(&self.path, number);
        let opened = File::options().create(true).truncate(true).read(true).write(true).open(&path);
        self.open = Some(opened.map_err(|source| self.refused("begin a segment in", source))?);
        self.segments.push_back((number, 0));
        let header = Header { boot: self.boot.clone(), kernel_next: self.kernel_next };
        let json =
            serde_json::to_vec(&header).map_err(|refusal| self.refused("begin", refusal.into()))?;
        let mut first = Vec::new();
        line::write(&json, &mut first);
        self.write(&first).inspect_err(|_| {
            // Nothing but an empty file is lost with it; an error here changes nothing.
            let _ = std::fs::remove_file(&path);
            self.segments.pop_back();
            self.open = None;
        })
    }

    fn make_room(&mut self, length: u64) -> Result<(), FolderError> {
        let mut used =
            self.segments.iter().fold(length, |sum, (_, size)| sum.saturating_add(*size));
        while self.segments.len() > 1
            && (used > self.bounds.total || self.segments.len() > SEGMENTS_LIMIT)
        {
            let Some((number, size)) = self.segments.front().copied() else { break };
            match std::fs::remove_file(segment::path(&self.path, number)) {
                Err(refusal) if refusal.kind() != io::ErrorKind::NotFound => {
                    return Err(self.refused("remove the oldest segment of", refusal));
                }
                Ok(()) | Err(_) => {}
            }
            self.segments.pop_front();
            used = used.saturating_sub(size);
        }
        Ok(())
    }

    fn write(&mut self, lines: &[u8]) -> Result<(), FolderError> {
        let (Some(file), Some((_, size))) = (&self.open, self.segments.back_mut()) else {
            return Err(self.refused("write to", io::ErrorKind::NotFound.into()));
        };
        match file.write_all_at(lines, *size) {
            Ok(()) => {
                *size = size.saturating_add(lines.len().try_into().unwrap_or(u64::MAX));
                self.is_dirty = true;
                Ok(())
            }
            Err(refusal) => {
                // Half a batch must not stand there; where it cannot be cut, a new segment begins.
                if file.set_len(*size).is_err() {
                    self.open = None;
                }
                Err(self.refused("write to", refusal))
            }
        }
    }

    fn refused(&self, attempt: &'static str, source: io::Error) -> FolderError {
        FolderError { attempt, path: self.path.clone(), source }
    }
}

/// A node that restarts for ever leaves short segments: so many boots are enough.
const SEGMENTS_LIMIT: usize = 256;
