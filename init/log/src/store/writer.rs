// SPDX-License-Identifier: Apache-2.0
//! The thread that waits for the disk, so that nobody who logs ever does.
//!
//! A disk that hangs holds whoever writes to it in the kernel, where no signal ends it. Here that
//! is this thread alone: the loop goes on taking, and drops the oldest once its queue is full.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

use rustix::event::EventfdFlags;
use rustix::io::Errno;

use super::disk::{Ask, Disk, Told};
use crate::ground::Ground;

/// The store's thread, seen from the loop. One ask at a time.
#[derive(Debug)]
pub(crate) struct Writer {
    asks: SyncSender<Ask>,
    tells: Receiver<Told>,
    bell: OwnedFd,
    is_busy: bool,
}

/// Why there is no writer.
#[derive(Debug, thiserror::Error)]
pub enum WriterError {
    /// The descriptor by which it tells.
    #[error("make the writer's bell")]
    Bell(#[source] Errno),
    /// The thread itself.
    #[error("start the writer's thread")]
    Thread(#[source] std::io::Error),
    /// It ended by itself.
    #[error("the writer's thread has ended")]
    Gone,
}

impl Writer {
    pub(crate) fn start(ground: Ground) -> Result<Self, WriterError> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let bell = rustix::event::eventfd(0, flags).map_err(WriterError::Bell)?;
        let rings = bell.try_clone().map_err(WriterError::Thread)?;
        let (asks, asked) = sync_channel::<Ask>(1);
        let (told, tells) = sync_channel(1);
        let work = move || {
            let mut disk = Disk::new(ground);
            for ask in asked {
                if told.send(disk.perform(ask)).is_err() {
                    break;
                }
                // The counter cannot overflow: the loop takes each answer before it asks again.
                let _ = rustix::io::write(&rings, &1_u64.to_ne_bytes());
            }
        };
        let thread = std::thread::Builder::new().name("writer".to_owned()).stack_size(STACK);
        thread.spawn(work).map_err(WriterError::Thread)?;
        Ok(Self { asks, tells, bell, is_busy: false })
    }

    /// It has not answered yet.
    pub(crate) const fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Asks it, never waiting. Not while it is busy.
    pub(crate) fn ask(&mut self, ask: Ask) -> Result<(), WriterError> {
        self.asks.try_send(ask).map_err(|_| WriterError::Gone)?;
        self.is_busy = true;
        Ok(())
    }

    /// Its answer, where it has come.
    pub(crate) fn take(&mut self) -> Result<Option<Told>, WriterError> {
        let mut count = [0; 8];
        // Nothing to read means that it has not rung.
        let _ = rustix::io::read(&self.bell, &mut count);
        match self.tells.try_recv() {
            Ok(told) => {
                self.is_busy = false;
                Ok(Some(told))
            }
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(WriterError::Gone),
        }
    }
}

impl AsFd for Writer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

/// File calls and one entry's JSON; only the pages touched count.
const STACK: usize = 128 * 1024;
