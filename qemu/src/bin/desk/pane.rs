// SPDX-License-Identifier: Apache-2.0
//! A node's console as a rectangle: a terminal emulator keeps it, so a dashboard that moves its cursor about stays
//! below the lights.

use std::num::NonZeroU16;

/// One node's screen.
pub(crate) struct Pane {
    parser: vt100::Parser,
    back: usize,
}

impl Pane {
    /// An empty one.
    pub(crate) fn new(rows: u16, columns: u16) -> Self {
        Self {
            parser: vt100::Parser::new(at_least_one(rows), at_least_one(columns), KEPT_ROWS),
            back: 0,
        }
    }

    /// What the serial port said.
    pub(crate) fn take_in(&mut self, bytes: &[u8]) {
        self.parser.process(bytes);
    }

    /// The terminal has another size.
    pub(crate) fn resize(&mut self, rows: u16, columns: u16) {
        self.parser.set_size(at_least_one(rows), at_least_one(columns));
    }

    /// Goes back (or forward) by half a screen.
    pub(crate) fn scroll(&mut self, older: bool) {
        let half = usize::from(self.parser.screen().size().0.get()) / 2;
        let wish = if older { self.back + half } else { self.back.saturating_sub(half) };
        self.parser.screen_mut().set_scrollback(wish);
        self.back = self.parser.screen().scrollback();
    }

    /// Whether older output is shown.
    pub(crate) fn is_back(&self) -> bool {
        self.back > 0
    }

    /// Shows the newest output again.
    pub(crate) fn follow(&mut self) {
        self.parser.screen_mut().set_scrollback(0);
        self.back = 0;
    }

    /// Its rows with their colours.
    pub(crate) fn rows(&self) -> Vec<String> {
        let screen = self.parser.screen();
        screen.rows_formatted(0, screen.size().1.get()).collect()
    }

    /// Row and column of the cursor, from 0; `None` if it is hidden or scrolled away.
    pub(crate) fn cursor(&self) -> Option<(u16, u16)> {
        let screen = self.parser.screen();
        (!screen.hide_cursor() && !self.is_back()).then(|| screen.cursor_position())
    }
}

fn at_least_one(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).unwrap_or(NonZeroU16::MIN)
}

/// A whole boot with its kernel messages.
const KEPT_ROWS: usize = 5000;
