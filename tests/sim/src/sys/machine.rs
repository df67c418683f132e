// SPDX-License-Identifier: Apache-2.0
//! The end of the machine is the end of the story.

use crate::Errno;
use crate::kernel::{Left, end, with};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Restart,
    PowerOff,
}

pub fn set_hostname(_name: &str) -> Result<(), Errno> {
    with(|machine| machine.refuses("sethostname", &[Errno::PERM]))
}

pub fn take_ctrl_alt_del() -> Result<(), Errno> {
    Ok(())
}

pub fn leave(next: Next) -> ! {
    with(|machine| machine.told(|| format!("< the machine is left: {next:?}")));
    end(Left)
}
