// SPDX-License-Identifier: Apache-2.0
//! Descriptors of the simulated kernel: closed when they are dropped, unless PID 1 dies with them open.

use std::marker::PhantomData;

use crate::kernel::{is_dying, with};

pub type RawFd = i32;

#[derive(Debug)]
pub struct OwnedFd(pub(crate) RawFd);

#[derive(Clone, Copy, Debug)]
pub struct BorrowedFd<'a> {
    pub(crate) number: RawFd,
    owner: PhantomData<&'a OwnedFd>,
}

impl OwnedFd {
    pub fn try_clone(&self) -> std::io::Result<Self> {
        with(|machine| {
            let id = machine.id(self.0).map_err(std::io::Error::from)?;
            Ok(Self(machine.open_id(id, 3)))
        })
    }
}

pub trait AsFd {
    fn as_fd(&self) -> BorrowedFd<'_>;
}

pub trait AsRawFd {
    fn as_raw_fd(&self) -> RawFd;
}

impl AsFd for OwnedFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        BorrowedFd { number: self.0, owner: PhantomData }
    }
}

impl AsFd for BorrowedFd<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        *self
    }
}

impl<T: AsFd> AsFd for &T {
    fn as_fd(&self) -> BorrowedFd<'_> {
        (**self).as_fd()
    }
}

impl AsRawFd for OwnedFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

impl Drop for OwnedFd {
    fn drop(&mut self) {
        if !is_dying() {
            with(|machine| machine.close(self.0));
        }
    }
}
