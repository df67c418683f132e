// SPDX-License-Identifier: Apache-2.0
//! The kernel's events of devices, with a queue that overflows.

use crate::Errno;
use crate::descriptor::{AsFd, BorrowedFd, OwnedFd};
use crate::kernel::{Thing, call};

#[derive(Debug)]
pub struct Uevents {
    socket: OwnedFd,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uevent {
    pub pairs: Vec<(String, String)>,
}

impl Uevents {
    pub fn open() -> Result<Self, Errno> {
        let queue = Thing::Uevents { queue: Default::default(), is_lost: false };
        call("bind", |machine| machine.open(queue)).map(|number| Self { socket: OwnedFd(number) })
    }

    pub fn receive(&self) -> Result<Option<Uevent>, Errno> {
        let number = self.socket.0;
        call("recv", |machine| match machine.thing(number)? {
            Thing::Uevents { is_lost, queue } if !*is_lost => {
                Ok(queue.pop_front().map(|pairs| Uevent { pairs }))
            }
            Thing::Uevents { is_lost, .. } => {
                *is_lost = false;
                Err(Errno::NOBUFS)
            }
            _ => Err(Errno::BADF),
        })
    }
}

impl AsFd for Uevents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Uevent {
    pub fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}
