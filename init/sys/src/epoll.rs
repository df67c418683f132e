// SPDX-License-Identifier: Apache-2.0
//! Which of many descriptors has something to tell, epoll(7).

use std::time::Duration;

use rustix::event::{Timespec, epoll};

use crate::Errno;
use crate::descriptor::{AsFd, OwnedFd};

/// Descriptors that are heard, each under a token of the caller's.
#[derive(Debug)]
pub struct Epoll {
    descriptor: OwnedFd,
}

/// When the epoll tells of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tells {
    /// As long as there is something to read, or the other end is gone.
    While,
    /// Once each time that more comes.
    Once,
}

/// Told at once; the rest is told next time.
const AT_ONCE: usize = 32;

impl Epoll {
    /// One that hears nothing yet.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM.
    pub fn create() -> Result<Self, Errno> {
        epoll::create(epoll::CreateFlags::CLOEXEC).map(|descriptor| Self { descriptor })
    }

    /// Hears this one too.
    ///
    /// # Errors
    /// EEXIST for one that is heard already, ENOMEM, ENOSPC (fs.epoll.max_user_watches).
    pub fn add(&self, descriptor: &impl AsFd, token: u64, tells: Tells) -> Result<(), Errno> {
        let mut flags = epoll::EventFlags::IN;
        flags.set(epoll::EventFlags::ET, tells == Tells::Once);
        epoll::add(&self.descriptor, descriptor, epoll::EventData::new_u64(token), flags)
    }

    /// Of one that is told of [`Tells::While`] there is something to read: also while there is room to
    /// write, or no longer that.
    ///
    /// # Errors
    /// ENOENT for one that is not heard.
    pub fn tell_of_room(
        &self,
        descriptor: &impl AsFd,
        token: u64,
        room: bool,
    ) -> Result<(), Errno> {
        let mut flags = epoll::EventFlags::IN;
        flags.set(epoll::EventFlags::OUT, room);
        epoll::modify(&self.descriptor, descriptor, epoll::EventData::new_u64(token), flags)
    }

    /// Hears it no longer. Closing a descriptor that nobody else holds does the same.
    ///
    /// # Errors
    /// ENOENT for one that is not heard.
    pub fn remove(&self, descriptor: &impl AsFd) -> Result<(), Errno> {
        epoll::delete(&self.descriptor, descriptor)
    }

    /// The tokens of those that have something to tell; none when the time is over, or at once
    /// after a signal.
    #[must_use]
    pub fn wait(&self, within: Duration) -> Vec<u64> {
        let timeout = Timespec {
            tv_sec: i64::try_from(within.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(within.subsec_nanos()),
        };
        let mut ready = Vec::with_capacity(AT_ONCE);
        // EINTR is a turn with nothing to do.
        let _ = epoll::wait(
            &self.descriptor,
            rustix::buffer::spare_capacity(&mut ready),
            Some(&timeout),
        );
        ready.iter().map(|event| event.data.u64()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipe;

    #[test]
    fn a_pipe_is_told_of_while_it_is_not_empty_or_once() {
        let epoll = Epoll::create().unwrap();
        let ((level, level_in), (edge, edge_in)) = (pipe::pair().unwrap(), pipe::pair().unwrap());
        epoll.add(&level, 1, Tells::While).unwrap();
        epoll.add(&edge, 2, Tells::Once).unwrap();
        assert_eq!(epoll.add(&edge, 2, Tells::Once), Err(Errno::EXIST));
        assert!(epoll.wait(Duration::ZERO).is_empty());
        for writer in [&level_in, &edge_in] {
            rustix::io::write(writer, b"x").unwrap();
        }
        let mut told = epoll.wait(Duration::from_secs(60));
        told.sort_unstable();
        assert_eq!(told, [1, 2]);
        assert_eq!(epoll.wait(Duration::ZERO), [1]);
        epoll.remove(&level).unwrap();
        assert!(epoll.wait(Duration::ZERO).is_empty());
        let (ours, _theirs) = crate::seqpacket::pair().unwrap();
        epoll.add(&ours, 3, Tells::While).unwrap();
        for (room, told) in [(false, [].as_slice()), (true, &[3]), (false, &[])] {
            epoll.tell_of_room(&ours, 3, room).unwrap();
            assert_eq!(epoll.wait(Duration::ZERO), told);
        }
    }
}
