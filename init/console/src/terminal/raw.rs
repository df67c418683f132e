// SPDX-License-Identifier: Apache-2.0
//! Opening a terminal so that nothing it does can stop who writes to it.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::termios::{ControlModes, InputModes, LocalModes, OptionalActions, speed};

/// Opens it: never waiting, never as the controlling terminal (no SIGHUP, no SIGINT from it), raw,
/// 115200 8N1.
///
/// # Errors
/// Not there, not a terminal, or hung up at this moment.
pub(super) fn open(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let terminal = rustix::fs::open(path, flags, Mode::empty())?;
    let mut settings = rustix::termios::tcgetattr(&terminal)?;
    settings.make_raw();
    // No modem lines decide whether there is anybody (CLOCAL), and none stop the output. A break
    // and bytes with a framing error are what an open or wrongly set line makes: they are no keys.
    settings.control_modes |= ControlModes::CLOCAL | ControlModes::CREAD;
    settings
        .control_modes
        .remove(ControlModes::CRTSCTS | ControlModes::HUPCL | ControlModes::CSTOPB);
    settings.input_modes |= InputModes::IGNBRK | InputModes::IGNPAR;
    // Ctrl-S is a key without a meaning here, not a way to stop the node's console.
    settings.input_modes.remove(InputModes::IXON | InputModes::IXOFF | InputModes::IXANY);
    settings.local_modes.remove(LocalModes::TOSTOP);
    settings.set_speed(speed::B115200)?;
    // TCSANOW: the other two wait for the output to drain, on a dead line for ever.
    rustix::termios::tcsetattr(&terminal, OptionalActions::Now, &settings)?;
    Ok(terminal)
}
