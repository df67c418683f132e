// SPDX-License-Identifier: Apache-2.0
//! sd_notify(3), the receiver's side.

use crate::Errno;
use crate::descriptor::{AsFd, OwnedFd};
use crate::kernel::{Thing, call};

pub fn listen(_path: &str) -> Result<OwnedFd, Errno> {
    call("bind", |machine| machine.open(Thing::Notify(Default::default()))).map(OwnedFd)
}

pub fn peek(socket: &impl AsFd) -> Option<(u32, Vec<u8>)> {
    let number = socket.as_fd().number;
    call("recvmsg", |machine| {
        machine.refuses("recvmsg", &[Errno::NOMEM]).ok()?;
        let Ok(Thing::Notify(queue)) = machine.thing(number) else { return None };
        let (pid, words) = queue.front()?;
        Some((*pid, words.as_bytes().to_vec()))
    })
}

pub fn pass(socket: &impl AsFd) {
    let number = socket.as_fd().number;
    call("recv", |machine| machine.pass_word(number));
}

pub fn says_ready(words: &[u8]) -> bool {
    words.split(|byte| *byte == b'\n').any(|word| word == b"READY=1")
}
