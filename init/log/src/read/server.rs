// SPDX-License-Identifier: Apache-2.0
//! The socket for readers and all conversations on it.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use kubermesh_node::time::Time;
use rustix::event::PollFlags;
use rustix::fs::Mode;

use super::conversation::Conversation;
use crate::store::Queue;

/// What there is to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    /// The segments.
    pub(crate) folder: Option<&'a Path>,
    /// What is not in them yet.
    pub(crate) queue: &'a Queue,
    /// This boot's id.
    pub(crate) boot: &'a str,
}

/// All readers.
#[derive(Debug)]
pub(crate) struct Server {
    listener: UnixListener,
    readers: Vec<Conversation>,
    chunk: Vec<u8>,
}

/// Why nobody can read.
#[derive(Debug, thiserror::Error)]
#[error("listen at {path}")]
pub struct ServerError {
    path: PathBuf,
    source: std::io::Error,
}

impl Server {
    /// Listens at `path`, for root; an earlier run's socket is replaced.
    pub(crate) fn listen(path: &Path) -> Result<Self, ServerError> {
        let bind = || {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            match std::fs::remove_file(path) {
                Err(refusal) if refusal.kind() != std::io::ErrorKind::NotFound => {
                    return Err(refusal);
                }
                Ok(()) | Err(_) => {}
            }
            let listener = UnixListener::bind(path)?;
            listener.set_nonblocking(true)?;
            // Programs log what is not for everyone's eyes.
            rustix::fs::chmod(path, Mode::from_raw_mode(0o600))?;
            Ok(listener)
        };
        bind()
            .map(|listener| Self { listener, readers: Vec::new(), chunk: Vec::new() })
            .map_err(|source| ServerError { path: path.to_owned(), source })
    }

    /// The descriptors to wait for: the listener, then each reader.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        let readers = self.readers.iter().map(|reader| {
            let full = if reader.is_full() { PollFlags::OUT } else { PollFlags::empty() };
            (reader.as_fd(), PollFlags::IN | full)
        });
        std::iter::once((self.listener.as_fd(), PollFlags::IN)).chain(readers)
    }

    /// When a reader that stands still is let go of.
    pub(crate) fn due(&self) -> Option<Time> {
        self.readers.iter().filter_map(Conversation::due).min()
    }

    /// The store has moved to another folder.
    pub(crate) fn begin_again(&mut self, view: &View<'_>) {
        self.readers.iter_mut().for_each(|reader| reader.begin_again(view));
    }

    /// Hears all readers and goes on with their answers. True: there is more to do at once.
    pub(crate) fn turn(&mut self, view: &View<'_>, now: Time) -> bool {
        while let Ok((stream, _)) = self.listener.accept() {
            if self.readers.len() < READERS_LIMIT && stream.set_nonblocking(true).is_ok() {
                self.readers.push(Conversation::with(stream));
            }
        }
        let mut more = false;
        for reader in &mut self.readers {
            reader.hear(view);
            more |= reader.go_on(view, &mut self.chunk, now);
        }
        self.readers.retain(|reader| !reader.has_ended);
        if !more {
            self.chunk = Vec::new();
        }
        more
    }
}

/// The console, some terminals, and room for a mistake.
const READERS_LIMIT: usize = 16;
