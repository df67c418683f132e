// SPDX-License-Identifier: Apache-2.0
//! The machine as a whole: its name, Ctrl-Alt-Del, and how it is left, reboot(2).

use rustix::system::RebootCommand;

use crate::Errno;

/// What comes after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It starts again.
    Restart,
    /// It is switched off.
    PowerOff,
}

/// How often it is tried to leave.
const TRIES: u32 = 3;

/// sethostname(2).
///
/// # Errors
/// EINVAL for a name of more than 64 bytes.
pub fn set_hostname(name: &str) -> Result<(), Errno> {
    rustix::system::sethostname(name.as_bytes())
}

/// Ctrl-Alt-Del is SIGINT to the first process from now on.
///
/// # Errors
/// EPERM.
pub fn take_ctrl_alt_del() -> Result<(), Errno> {
    rustix::system::reboot(RebootCommand::CadOff)
}

/// Leaves at once: nothing is written back, since a dead disk would hold the caller here.
pub fn leave(next: Next) -> ! {
    let command = match next {
        Next::Restart => RebootCommand::Restart,
        Next::PowerOff => RebootCommand::PowerOff,
    };
    // Comes back only where it is refused, and what refused it may have gone.
    for _ in 0..TRIES {
        let _ = rustix::system::reboot(command);
    }
    // The kernel's panic starts the machine again.
    std::process::exit(1)
}
