// SPDX-License-Identifier: Apache-2.0
//! The memory of the record, which may be full or take only a part.

use std::ffi::CStr;

use crate::descriptor::{AsFd, OwnedFd, RawFd};
use crate::kernel::{Thing, call};
use crate::{Errno, inherited};

const PAGE: u64 = 4096;

pub fn anonymous(_name: &CStr) -> Result<OwnedFd, Errno> {
    call("memfd_create", |machine| machine.open(Thing::Memory(Default::default()))).map(OwnedFd)
}

pub fn create(_name: &CStr, number: RawFd) -> Result<OwnedFd, Errno> {
    let memory = call("memfd_create", |machine| machine.open(Thing::Memory(Default::default())));
    inherited::place(&OwnedFd(memory?), number)
}

pub fn write_at(memory: &impl AsFd, bytes: &[u8], at: u64) -> Result<(), Errno> {
    let number = memory.as_fd().number;
    call("pwrite", |machine| {
        machine.forgets("pwrite", &[Errno::NOSPC, Errno::NOMEM])?;
        let is_short = machine.forgets("pwrite in part", &[Errno::NOSPC]).is_err();
        let length = if is_short { bytes.len() / 2 } else { bytes.len() };
        let Thing::Memory(pages) = machine.thing(number)? else { return Err(Errno::BADF) };
        for (byte, at) in bytes[..length].iter().zip(at..) {
            let page = pages.entry(at / PAGE).or_insert_with(|| vec![0; PAGE as usize]);
            page[(at % PAGE) as usize] = *byte;
        }
        if is_short { Err(Errno::NOSPC) } else { Ok(()) }
    })
}

pub fn read_at(memory: &impl AsFd, bytes: &mut [u8], at: u64) -> Result<usize, Errno> {
    let number = memory.as_fd().number;
    call("pread", |machine| {
        let Thing::Memory(pages) = machine.thing(number)? else { return Err(Errno::BADF) };
        let last = pages.last_key_value().map_or(0, |(page, _)| (page + 1) * PAGE);
        let length = last.saturating_sub(at).min(bytes.len() as u64) as usize;
        for (byte, at) in bytes[..length].iter_mut().zip(at..) {
            *byte = pages.get(&(at / PAGE)).map_or(0, |page| page[(at % PAGE) as usize]);
        }
        Ok(length)
    })
}
