// SPDX-License-Identifier: Apache-2.0
//! QEMU's monitor: commands with answers, and events that may be awaited. (QEMU's docs/interop/qmp-spec)

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// One connection to one QEMU.
pub(crate) struct Qmp {
    line: Mutex<(UnixStream, Receiver<Value>)>,
    events: Arc<Events>,
}

impl Qmp {
    /// Says hello and asks for command mode.
    pub(crate) fn new(stream: UnixStream) -> Result<Self> {
        let reader = stream.try_clone().context("share the monitor's socket")?;
        let events = Arc::new(Events::default());
        let (sender, answers) = channel();
        let told = Arc::clone(&events);
        thread::Builder::new()
            .name("qmp".into())
            .spawn(move || read_all(reader, &sender, &told))
            .context("start a thread")?;
        let qmp = Self { line: Mutex::new((stream, answers)), events };
        qmp.execute("qmp_capabilities", &json!({}))?;
        Ok(qmp)
    }

    /// Runs one command. QEMU answers within seconds or it hangs.
    pub(crate) fn execute(&self, command: &str, arguments: &Value) -> Result<Value> {
        let line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let (stream, answers) = &*line;
        let order = format!("{}\n", json!({ "execute": command, "arguments": arguments }));
        let mut stream: &UnixStream = stream;
        stream.write_all(order.as_bytes()).with_context(|| format!("tell QEMU {command}"))?;
        let answer = answers
            .recv_timeout(ANSWER_WITHIN)
            .with_context(|| format!("QEMU gave no answer to {command}"))?;
        if let Some(error) = answer.get("error") {
            bail!(
                "QEMU refuses {command} {arguments}: {}",
                error["desc"].as_str().unwrap_or("no reason")
            );
        }
        Ok(answer["return"].clone())
    }

    /// How many events came so far; a wait from here sees only later ones.
    pub(crate) fn mark(&self) -> usize {
        self.events.look().seen.len()
    }

    /// Waits for an event after `mark`.
    pub(crate) fn wait_event(
        &self,
        mark: usize,
        words: &str,
        within: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let deadline = Instant::now() + within;
        let mut events = self.events.look();
        loop {
            if let Some(event) = events.seen.iter().skip(mark).find(|event| wanted(event)) {
                return Ok(event.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if events.closed || left.is_zero() {
                bail!(
                    "waited {within:?} for {words}; QEMU told only {:?}",
                    names(&events.seen, mark)
                );
            }
            events = self
                .events
                .changed
                .wait_timeout(events, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

#[derive(Default)]
struct Events {
    list: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Default)]
struct Seen {
    seen: Vec<Value>,
    closed: bool,
}

impl Events {
    fn look(&self) -> MutexGuard<'_, Seen> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_all(stream: UnixStream, answers: &Sender<Value>, events: &Events) {
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { break };
        let Ok(value) = serde_json::from_str::<Value>(&line) else { break };
        if value.get("event").is_some() {
            events.look().seen.push(value);
            events.changed.notify_all();
        } else if value.get("QMP").is_none() && answers.send(value).is_err() {
            break;
        }
    }
    events.look().closed = true;
    events.changed.notify_all();
}

fn names(events: &[Value], mark: usize) -> Vec<&str> {
    events.iter().skip(mark).filter_map(|event| event["event"].as_str()).collect()
}

/// Long, since two cores may carry six emulated machines.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
