// SPDX-License-Identifier: Apache-2.0
//! What a guest says on its serial port: every line with its time, and waits that end with words.
//!
//! One transcript lasts over power cuts; the connection under it changes. Escape sequences of firmware and of
//! the dashboard are taken out, so that a line is what a person would read.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::plain::Plain;

/// A machine's serial port, seen from outside.
#[derive(Clone)]
pub struct Serial {
    name: String,
    shared: Arc<Shared>,
}

/// A line, and when its end came, counted from the machine's making.
#[derive(Clone, Debug)]
pub struct Line {
    /// Since the machine was made.
    pub at: Duration,
    /// Without escape sequences.
    pub text: String,
}

impl Serial {
    pub(crate) fn new(name: &str) -> Self {
        let shared =
            Shared { born: Instant::now(), state: Mutex::default(), changed: Condvar::new() };
        Self { name: name.to_owned(), shared: Arc::new(shared) }
    }

    /// Reads from a new connection until it closes; where a pace is given so many bytes a second. QEMU sends
    /// each byte alone, so the socket holds no more than some hundreds of them back.
    pub(crate) fn attach(&self, socket: &Path, pace: Option<usize>) -> Result<()> {
        let stream =
            UnixStream::connect(socket).with_context(|| format!("connect {}", socket.display()))?;
        let reader = stream.try_clone().context("share the serial socket")?;
        {
            let mut state = self.shared.look();
            state.writer = Some(stream);
            state.dead = None;
        }
        let serial = self.clone();
        thread::Builder::new()
            .name(format!("serial-{}", self.name))
            .spawn(move || serial.read_all(reader, pace))
            .context("start a thread")?;
        Ok(())
    }

    /// Ends all waits: nothing more will come.
    pub(crate) fn declare_dead(&self, how: &str) {
        self.shared.look().dead = Some(how.to_owned());
        self.shared.changed.notify_all();
    }

    /// Waits for a line that contains `text`, after the last one that a wait found.
    pub fn wait(&self, text: &str, within: Duration) -> Result<Line> {
        self.wait_for(&format!("a line with \"{text}\""), within, |line| line.contains(text))
    }

    /// Waits for a line that `wanted` accepts, after the last one that a wait found. `words` say what is awaited.
    pub fn wait_for(
        &self,
        words: &str,
        within: Duration,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Line> {
        let deadline = Instant::now() + within;
        let mut state = self.shared.look();
        loop {
            if let Some(line) = state.take_next(&wanted) {
                return Ok(line);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if let Some(how) = state.dead.as_deref() {
                bail!(
                    "{}: waiting for {words}, but the machine ended: {how}\n{}",
                    self.name,
                    state.tail()
                );
            }
            if left.is_zero() {
                bail!(
                    "{}: waited {within:?} for {words}. It said last:\n{}",
                    self.name,
                    state.tail()
                );
            }
            state = self
                .shared
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Lets the next wait see only what comes from now on.
    pub fn forget(&self) {
        let mut state = self.shared.look();
        state.next = state.lines.len();
    }

    /// All lines so far.
    pub fn lines(&self) -> Vec<Line> {
        self.shared.look().lines.clone()
    }

    /// The last lines, for a report.
    pub fn tail(&self) -> String {
        self.shared.look().tail()
    }

    /// Types bytes into the port.
    pub fn type_bytes(&self, bytes: &[u8]) -> Result<()> {
        let state = self.shared.look();
        let mut writer =
            state.writer.as_ref().with_context(|| format!("{} has no serial port", self.name))?;
        writer.write_all(bytes).with_context(|| format!("type on the serial port of {}", self.name))
    }

    /// Also sends each piece of raw output here, for a terminal.
    pub fn tap(&self, tap: Sender<Vec<u8>>) {
        self.shared.look().taps.push(tap);
    }

    fn read_all(&self, mut reader: UnixStream, pace: Option<usize>) {
        let mut piece = vec![0; pace.map_or(4096, |bytes| bytes / TURNS)];
        while let Ok(count) = reader.read(&mut piece) {
            if count == 0 {
                break;
            }
            self.take_in(&piece[..count]);
            if pace.is_some() {
                thread::sleep(TURN);
            }
        }
    }

    fn take_in(&self, bytes: &[u8]) {
        let at = self.shared.born.elapsed();
        let mut state = self.shared.look();
        state.taps.retain(|tap| tap.send(bytes.to_vec()).is_ok());
        for text in state.plain.take_in(bytes) {
            state.lines.push(Line { at, text });
        }
        drop(state);
        self.shared.changed.notify_all();
    }
}

/// A slow line is read so often a second, after so long each time.
const TURNS: usize = 20;
const TURN: Duration = Duration::from_millis(50);

struct Shared {
    born: Instant,
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn look(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
struct State {
    lines: Vec<Line>,
    plain: Plain,
    /// The first line that no wait has passed.
    next: usize,
    writer: Option<UnixStream>,
    taps: Vec<Sender<Vec<u8>>>,
    dead: Option<String>,
}

impl State {
    fn take_next(&mut self, wanted: &impl Fn(&str) -> bool) -> Option<Line> {
        let found =
            self.lines.iter().enumerate().skip(self.next).find(|(_, line)| wanted(&line.text));
        let (place, line) = found.map(|(place, line)| (place, line.clone()))?;
        self.next = place + 1;
        Some(line)
    }

    fn tail(&self) -> String {
        let from = self.lines.len().saturating_sub(TAIL_LINES);
        let mut words: Vec<String> = self.lines[from..]
            .iter()
            .map(|line| format!("  {:8.3}s {}", line.at.as_secs_f64(), line.text))
            .collect();
        let unended = self.plain.unended();
        if !unended.is_empty() {
            words.push(format!("  (no end yet) {unended}"));
        }
        words.join("\n")
    }
}

/// Enough to see a kernel panic with its trace.
const TAIL_LINES: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    fn hear(words: &str) -> Serial {
        let serial = Serial::new("node1");
        serial.take_in(words.as_bytes());
        serial
    }

    #[test]
    fn waits_find_lines_in_their_order() {
        let serial = hear("status=booting\r\nstatus=ready\r\n");

        assert!(serial.wait("ready", Duration::ZERO).is_ok());
        assert!(serial.wait("booting", Duration::ZERO).is_err());
        assert!(serial.wait("ready", Duration::ZERO).is_err(), "each line is found once");
    }

    #[test]
    fn a_wait_that_fails_says_what_it_waited_for_and_what_came_last() {
        let serial = hear("Kernel panic - not syncing\nhalf a l");

        let words = serial.wait("status=ready", Duration::ZERO).unwrap_err().to_string();

        assert!(words.starts_with("node1: waited 0ns for a line with \"status=ready\""), "{words}");
        assert!(words.contains("Kernel panic - not syncing"), "{words}");
        assert!(words.ends_with("(no end yet) half a l"), "{words}");
    }

    #[test]
    fn a_wait_ends_at_once_when_the_machine_does() {
        let serial = hear("");
        serial.declare_dead("signal: 9 (SIGKILL)");

        let began = Instant::now();
        let words = serial.wait("status=ready", Duration::from_secs(60)).unwrap_err().to_string();

        assert!(began.elapsed() < Duration::from_secs(5));
        assert!(words.contains("the machine ended: signal: 9"), "{words}");
    }
}
