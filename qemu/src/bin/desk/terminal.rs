// SPDX-License-Identifier: Apache-2.0
//! The person's terminal: raw and on its alternate screen while this lives, as it was afterwards.

use std::io::{self, Write};
use std::panic;

use anyhow::{Context, Result};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// The terminal, until it is dropped.
pub(crate) struct Terminal {
    before: Termios,
}

impl Terminal {
    /// Takes it over.
    pub(crate) fn take() -> Result<Self> {
        let before = tcgetattr(io::stdin()).context("read the terminal's modes")?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw).context("set the terminal's modes")?;
        let terminal = Self { before: before.clone() };
        terminal.write("\x1b[?1049h\x1b[2J")?;
        // A release build ends at a panic without dropping anything, and its words would be on the alternate screen.
        let say = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            give_back(&before);
            say(info);
        }));
        Ok(terminal)
    }

    /// Rows and columns.
    pub(crate) fn size(&self) -> (u16, u16) {
        match tcgetwinsize(io::stdout()) {
            Ok(size) if size.ws_row > 0 && size.ws_col > 0 => (size.ws_row, size.ws_col),
            // A serial line to the desk itself does not say.
            Ok(_) | Err(_) => (24, 80),
        }
    }

    /// Writes at once.
    pub(crate) fn write(&self, text: &str) -> Result<()> {
        write(text).context("write to the terminal")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back(&self.before);
    }
}

/// A terminal that was closed cannot be put back, and need not be.
fn give_back(before: &Termios) {
    let _ = write("\x1b[0m\x1b[?25h\x1b[?1049l");
    let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
