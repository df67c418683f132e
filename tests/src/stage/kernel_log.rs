// SPDX-License-Identifier: Apache-2.0
//! What PID 1 writes to /dev/kmsg: a FIFO, read by a thread as long as the stage stands.
//!
//! A file would be written from its beginning again after PID 1 executed itself. Whoever else reads
//! it, as the node's own log worker does, takes lines away from the test.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The lines so far. Clones see the same.
#[derive(Clone, Debug)]
pub struct KernelLog {
    inner: Arc<(Mutex<Heard>, Condvar)>,
    /// The FIFO itself; its name goes with the stage.
    fifo: Arc<File>,
}

#[derive(Debug, Default)]
struct Heard {
    lines: Vec<String>,
    has_ended: bool,
}

/// A full FIFO would hold PID 1, which the kernel's own log never does.
const ROOM_BYTES: usize = 1 << 20;

impl KernelLog {
    /// Reads this FIFO from now on.
    pub(super) fn read(fifo: &Path) -> Result<Self> {
        // Opened for both: a FIFO then never ends, and opening waits for nobody.
        let file = File::options().read(true).write(true).open(fifo);
        let file = file.with_context(|| format!("open {}", fifo.display()))?;
        rustix::pipe::fcntl_setpipe_size(&file, ROOM_BYTES).context("widen the kernel's log")?;
        let log = Self { inner: Arc::default(), fifo: Arc::new(file.try_clone()?) };
        let writer = log.clone();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(file);
            let mut bytes = Vec::new();
            while reader.read_until(b'\n', &mut bytes).is_ok_and(|read| read > 0) {
                let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
                bytes.clear();
                if line == END.trim_end() {
                    break;
                }
                writer.lock().lines.push(line);
                writer.inner.1.notify_all();
            }
            writer.lock().has_ended = true;
            writer.inner.1.notify_all();
        });
        Ok(log)
    }

    /// Has the thread end once it has read all, and waits for that. When nobody is left inside: a
    /// log worker there reads from the same FIFO, and would take our last line too.
    pub(super) fn end(&self) {
        if self.lock().has_ended || self.fifo.as_ref().write_all(END.as_bytes()).is_err() {
            return;
        }
        let mut heard = self.lock();
        while !heard.has_ended {
            heard = self.inner.1.wait(heard).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// All lines so far, as they were written: `<5>kubermesh: …`.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lock().lines.clone()
    }

    /// The first line that holds this text, from line `from` on.
    ///
    /// # Errors
    /// It does not come in time; the last lines are in the message.
    pub fn wait(&self, from: usize, text: &str, within: Duration) -> Result<String> {
        let deadline = Instant::now() + within;
        let mut heard = self.lock();
        loop {
            if let Some(line) = heard.lines.iter().skip(from).find(|line| line.contains(text)) {
                return Ok(line.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let last: Vec<&str> =
                    heard.lines.iter().rev().take(20).rev().map(String::as_str).collect();
                bail!("waited {within:?} for the line `{text}`; the last:\n{}", last.join("\n"));
            }
            let waited = self.inner.1.wait_timeout(heard, left);
            heard = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.inner.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Our own last line.
const END: &str = "kubermesh-stage: the end\n";
