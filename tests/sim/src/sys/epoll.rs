// SPDX-License-Identifier: Apache-2.0
//! epoll(7): level and edge, spurious wakes, and the place where time goes by.

use std::time::Duration;

use crate::Errno;
use crate::descriptor::{AsFd, OwnedFd};
use crate::kernel::{Thing, call, with};

#[derive(Debug)]
pub struct Epoll {
    descriptor: OwnedFd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tells {
    While,
    Once,
}

impl Epoll {
    pub fn create() -> Result<Self, Errno> {
        call("epoll_create", |machine| machine.open(Thing::Epoll))
            .map(|number| Self { descriptor: OwnedFd(number) })
    }

    pub fn add(&self, descriptor: &impl AsFd, token: u64, tells: Tells) -> Result<(), Errno> {
        let (epoll, number) = (self.descriptor.0, descriptor.as_fd().number);
        call("epoll_add", |machine| {
            machine.refuses("epoll_add", &[Errno::NOMEM, Errno::NOSPC])?;
            machine.hear(epoll, number, token, tells == Tells::Once)
        })
    }

    pub fn tell_of_room(
        &self,
        descriptor: &impl AsFd,
        token: u64,
        room: bool,
    ) -> Result<(), Errno> {
        let (epoll, number) = (self.descriptor.0, descriptor.as_fd().number);
        let _ = token;
        call("epoll_mod", |machine| {
            machine.refuses("epoll_mod", &[Errno::NOMEM])?;
            machine.hear_of_room(epoll, number, room)
        })
    }

    pub fn remove(&self, descriptor: &impl AsFd) -> Result<(), Errno> {
        let (epoll, number) = (self.descriptor.0, descriptor.as_fd().number);
        call("epoll_del", |machine| machine.unhear(epoll, number))
    }

    pub fn wait(&self, within: Duration) -> Vec<u64> {
        let within = u64::try_from(within.as_micros()).unwrap_or(u64::MAX);
        with(|machine| machine.wait(self.descriptor.0, within))
    }
}
