// SPDX-License-Identifier: Apache-2.0
//! Another program in PID 1's place: the same one here, in a life that is on trial.

use std::ffi::CStr;

use crate::Errno;
use crate::descriptor::{AsFd, OwnedFd};
use crate::kernel::{TakesOver, Thing, call, end};

pub fn own() -> Result<OwnedFd, Errno> {
    call("open", |machine| machine.open(Thing::Program)).map(OwnedFd)
}

pub fn seal(program: &impl AsFd) -> Result<(), Errno> {
    let number = program.as_fd().number;
    call("fcntl", |machine| {
        // Some clients bring what cannot be sealed.
        let can_be = !machine.chance.one_in(10);
        let is_program = matches!(machine.thing(number)?, Thing::Program);
        if can_be && is_program { Ok(()) } else { Err(Errno::INVAL) }
    })
}

pub fn become_it(_program: &OwnedFd, _argument: &CStr) -> Errno {
    let refused =
        call("execve", |machine| machine.refuses("execve", &[Errno::NOMEM, Errno::TXTBSY]));
    match refused {
        Err(errno) => errno,
        Ok(()) => end(TakesOver),
    }
}
