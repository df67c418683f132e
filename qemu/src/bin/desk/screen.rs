// SPDX-License-Identifier: Apache-2.0
//! The desk in a terminal: a line for each node, below it the console of one.

use std::env;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::event::{Event, Events, read_keys};
use crate::keys::{HELP, Keys, Wish};
use crate::mesh::Mesh;
use crate::paint::{Palette, line};
use crate::pane::Pane;
use crate::terminal::Terminal;

/// Shows the mesh until the person has enough.
pub(crate) fn show(mesh: Mesh, events: Events) -> Result<()> {
    let terminal = Terminal::take()?;
    read_keys(events.sender.clone())?;
    let mut screen = Screen::new(mesh, terminal);
    screen.resize();
    loop {
        screen.draw()?;
        let event = match events.receiver.recv_timeout(screen.patience()) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        };
        // What has piled up is shown at once, not frame by frame.
        for event in std::iter::once(event).chain(events.receiver.try_iter()) {
            if screen.take_in(event)? == Next::End {
                return Ok(());
            }
        }
    }
}

#[derive(PartialEq, Eq)]
enum Next {
    GoOn,
    End,
}

struct Screen {
    mesh: Mesh,
    terminal: Terminal,
    palette: Palette,
    keys: Keys,
    panes: Vec<Pane>,
    shown: usize,
    help: bool,
    notice: Option<(Instant, String)>,
    size: (u16, u16),
    /// What stands on the terminal, row by row: only what differs is written.
    drawn: Vec<String>,
}

impl Screen {
    fn new(mesh: Mesh, terminal: Terminal) -> Self {
        let word = |name: &str| env::var(name).ok();
        let (no_color, colorterm, term) = (word("NO_COLOR"), word("COLORTERM"), word("TERM"));
        Self {
            panes: (0..mesh.count()).map(|_| Pane::new(24, 80)).collect(),
            palette: Palette::of(no_color.as_deref(), colorterm.as_deref(), term.as_deref()),
            mesh,
            terminal,
            keys: Keys::default(),
            shown: 0,
            help: false,
            notice: None,
            size: (24, 80),
            drawn: Vec::new(),
        }
    }

    fn resize(&mut self) {
        self.size = self.terminal.size();
        self.drawn.clear();
        let rows = self.size.0.saturating_sub(self.head());
        for pane in &mut self.panes {
            pane.resize(rows, self.size.1);
        }
    }

    /// The nodes' lines and the one with the keys.
    fn head(&self) -> u16 {
        u16::try_from(self.mesh.count() + 1).unwrap_or(u16::MAX)
    }

    fn patience(&self) -> Duration {
        let light = self.mesh.next_change().map(|next| next.max(FRAME));
        light.unwrap_or(QUIET).min(QUIET)
    }

    fn take_in(&mut self, event: Event) -> Result<Next> {
        match event {
            Event::Output(node, bytes) => {
                if let Some(pane) = self.panes.get_mut(node) {
                    pane.take_in(&bytes);
                }
            }
            Event::Light => {}
            Event::Resized => self.resize(),
            Event::End => return Ok(Next::End),
            Event::Keys(bytes) => {
                for wish in self.keys.take_in(&bytes) {
                    if wish == Wish::Quit {
                        return Ok(Next::End);
                    }
                    self.fulfil(wish);
                }
            }
        }
        Ok(Next::GoOn)
    }

    fn fulfil(&mut self, wish: Wish) {
        if self.help {
            self.help = false;
            return;
        }
        let node = self.shown;
        let deed = match wish {
            Wish::Type(byte) => {
                self.panes[node].follow();
                self.mesh.type_bytes(node, &[byte]).map(|()| String::new())
            }
            Wish::Quit => Ok(String::new()),
            Wish::Help => {
                self.help = true;
                Ok(String::new())
            }
            Wish::Show(wanted) => self.turn_to(wanted),
            Wish::Next => self.turn_to((node + 1) % self.mesh.count()),
            Wish::CableAfter => self.mesh.toggle_cable(node, 1),
            Wish::CableBefore => self.mesh.toggle_cable(node, 0),
            Wish::Light => self.mesh.toggle_light(node),
            Wish::PowerButton => self.mesh.power_button(node),
            Wish::Power => self.mesh.toggle_power(node),
            Wish::CtrlAltDel => self.mesh.ctrl_alt_del(node),
            Wish::Reset => self.mesh.reset(node),
            Wish::Older | Wish::Newer => {
                self.panes[node].scroll(wish == Wish::Older);
                Ok(String::new())
            }
        };
        let words = deed.unwrap_or_else(|error| format!("{error:#}"));
        if !words.is_empty() {
            self.notice = Some((Instant::now(), words));
        }
    }

    fn turn_to(&mut self, wanted: usize) -> Result<String> {
        if wanted >= self.mesh.count() {
            return Ok(format!("there is no node{}, only {}", wanted + 1, self.mesh.count()));
        }
        self.shown = wanted;
        Ok(String::new())
    }

    fn draw(&mut self) -> Result<()> {
        let rows = self.rows();
        let mut text = String::from("\x1b[?25l");
        for (number, row) in rows.iter().enumerate() {
            if self.drawn.get(number) != Some(row) {
                text.push_str(&format!("\x1b[{};1H\x1b[0m\x1b[2K{row}\x1b[0m", number + 1));
            }
        }
        self.drawn = rows;
        if let Some((row, column)) = self.panes[self.shown].cursor().filter(|_| !self.help) {
            text.push_str(&format!("\x1b[{};{}H\x1b[?25h", row + self.head() + 1, column + 1));
        }
        self.terminal.write(&text)
    }

    fn rows(&self) -> Vec<String> {
        let width = usize::from(self.size.1);
        let lines = (0..self.mesh.count())
            .map(|node| line(&self.mesh.look(node), node == self.shown, self.palette, width));
        let mut rows: Vec<String> = lines.collect();
        let rule: String = format!("{:─<width$}", self.rule()).chars().take(width).collect();
        rows.push(rule);
        if self.help {
            rows.extend(HELP.iter().map(|&row| row.to_owned()));
        } else {
            rows.extend(self.panes[self.shown].rows());
        }
        rows.resize(usize::from(self.size.0), String::new());
        rows
    }

    fn rule(&self) -> String {
        let notice = self.notice.as_ref().filter(|(since, _)| since.elapsed() < NOTICE);
        match notice {
            _ if self.keys.is_prefixed() => "── Ctrl-A … ".to_owned(),
            Some((_, words)) => format!("── {words} "),
            None if self.panes[self.shown].is_back() => {
                "── older output; Ctrl-A ] goes on ".to_owned()
            }
            None => "── Ctrl-A ? keys · Ctrl-C ends ".to_owned(),
        }
    }
}

/// A light that fades is drawn 30 times a second.
const FRAME: Duration = Duration::from_millis(33);

/// While nothing changes: a rhythm that has ended, a node that switched itself off, a notice that is old.
const QUIET: Duration = Duration::from_millis(500);
const NOTICE: Duration = Duration::from_secs(5);
