// SPDX-License-Identifier: Apache-2.0
//! Runs commands in a guest and moves files, through the virtio-serial port `org.kubermesh.test`.
//!
//! The other end is `kubermesh-agent` (`bin/agent`), which only an image with the test overlay carries. A request and
//! its answer are one line of JSON each ([`protocol`]).

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

pub mod protocol;

use protocol::{Answer, Bytes, Deed, Lock, Reply, Request};

/// The agent of one machine, over all its starts.
pub struct Agent {
    name: String,
    line: Mutex<Option<Connection>>,
}

/// How a command in the guest ended.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its exit status; 128 and the signal for one that was killed.
    pub status: i32,
    /// What it wrote, up to 4 MiB.
    pub stdout: String,
    /// What it complained about, up to 4 MiB.
    pub stderr: String,
}

struct Connection {
    stream: UnixStream,
    answers: Receiver<Answer>,
    next: u64,
}

impl Agent {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), line: Mutex::new(None) }
    }

    pub(crate) fn attach(&self, socket: &Path) -> Result<()> {
        let stream =
            UnixStream::connect(socket).with_context(|| format!("connect {}", socket.display()))?;
        let reader = stream.try_clone().context("share the agent's socket")?;
        let (sender, answers) = channel();
        thread::Builder::new()
            .name(format!("agent-{}", self.name))
            .spawn(move || {
                for line in BufReader::new(reader).lines().map_while(Result::ok) {
                    // Half a line may stand before the first whole one after the agent was restarted.
                    if let Ok(answer) = serde_json::from_str(&line)
                        && sender.send(answer).is_err()
                    {
                        break;
                    }
                }
            })
            .context("start a thread")?;
        *self.line.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Connection { stream, answers, next: 1 });
        Ok(())
    }

    pub(crate) fn detach(&self) {
        *self.line.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Waits until the agent answers: to be called first after each start and reset. It asks again and again, since the
    /// firmware of 2025 (OVMF's VirtioSerialDxe) reads what is sent while it runs.
    pub fn wait(&self, within: Duration) -> Result<()> {
        let deadline = Instant::now() + within;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("{}: waited {within:?} for the agent to answer", self.name);
            }
            match self.ask_once(Deed::Ping, left.min(ASK_AGAIN))? {
                Some(Reply::Done) => return Ok(()),
                Some(other) => return self.refuse("ping", &other),
                None => {}
            }
        }
    }

    /// Runs a program to its end, at most 60 s.
    pub fn run(&self, argv: &[&str]) -> Result<Output> {
        self.run_within(argv, Duration::from_secs(60))
    }

    /// Runs a program to its end; one that takes longer is killed with its children.
    pub fn run_within(&self, argv: &[&str], within: Duration) -> Result<Output> {
        let command = argv.iter().map(|&word| word.to_owned()).collect();
        let limit_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        let reply = self.ask(Deed::Run { command, limit_ms }, within + SLACK)?;
        let Reply::Ran { status, stdout, stderr } = reply else {
            return self.refuse(&argv.join(" "), &reply);
        };
        Ok(Output { status, stdout: stdout.into_text(), stderr: stderr.into_text() })
    }

    /// Runs a program that must succeed and gives what it wrote.
    pub fn must(&self, argv: &[&str]) -> Result<String> {
        let output = self.run(argv)?;
        if output.status != 0 {
            let Output { status, stdout, stderr } = output;
            bail!("{}: {} ended with {status}: {stderr}{stdout}", self.name, argv.join(" "));
        }
        Ok(output.stdout)
    }

    /// Starts a program and gives its pid; it runs on until it ends or is killed.
    pub fn start(&self, argv: &[&str]) -> Result<i32> {
        let command = argv.iter().map(|&word| word.to_owned()).collect();
        let reply = self.ask(Deed::Start { command }, SLACK)?;
        if let Reply::Started { pid } = reply {
            Ok(pid)
        } else {
            self.refuse(&argv.join(" "), &reply)
        }
    }

    /// Reads a file of the guest, at most 16 MiB.
    pub fn read(&self, path: &str) -> Result<Vec<u8>> {
        let reply = self.ask(Deed::Read { path: path.to_owned() }, SLACK)?;
        if let Reply::Read { content } = reply { Ok(content.0) } else { self.refuse(path, &reply) }
    }

    /// Reads a text file of the guest.
    pub fn read_text(&self, path: &str) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.read(path)?).into_owned())
    }

    /// Writes a file in the guest, with these permission bits.
    pub fn write(&self, path: &str, content: &[u8], mode: u32) -> Result<()> {
        let deed = Deed::Write { path: path.to_owned(), content: Bytes(content.to_vec()), mode };
        let reply = self.ask(deed, SLACK)?;
        if matches!(reply, Reply::Done) { Ok(()) } else { self.refuse(path, &reply) }
    }

    /// Makes a program of the guest hang for ever, all its threads; how many those are.
    pub fn jam(&self, pid: i32, lock: Lock) -> Result<usize> {
        let reply = self.ask(Deed::Jam { pid, lock }, SLACK)?;
        if let Reply::Jammed { threads } = reply {
            Ok(threads)
        } else {
            self.refuse(&format!("jam {pid}"), &reply)
        }
    }

    fn refuse<T>(&self, object: &str, reply: &Reply) -> Result<T> {
        if let Reply::Failed { reason } = reply {
            bail!("{}: {object}: {reason}", self.name);
        }
        bail!("{}: {object}: an answer that does not fit: {reply:?}", self.name)
    }

    fn ask(&self, deed: Deed, within: Duration) -> Result<Reply> {
        let words = deed.words();
        let reply = self.ask_once(deed, within)?;
        reply.with_context(|| format!("{}: waited {within:?} for the agent: {words}", self.name))
    }

    /// `None` when no answer came in time.
    fn ask_once(&self, deed: Deed, within: Duration) -> Result<Option<Reply>> {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let connection =
            line.as_mut().with_context(|| format!("{} is off or has no agent", self.name))?;
        let number = connection.next;
        connection.next += 1;
        let words = deed.words();
        let mut request =
            serde_json::to_vec(&Request { number, deed }).context("write a request")?;
        request.push(b'\n');
        connection
            .stream
            .set_write_timeout(Some(within.max(ASK_AGAIN)))
            .context("limit a write")?;
        connection
            .stream
            .write_all(&request)
            .with_context(|| format!("{}: the agent takes no request ({words})", self.name))?;
        let deadline = Instant::now() + within;
        loop {
            match connection
                .answers
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(answer) if answer.number == number => return Ok(Some(answer.reply)),
                // Late, to a request that was given up.
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("{}: the machine ended during: {words}", self.name)
                }
            }
        }
    }
}

const ASK_AGAIN: Duration = Duration::from_secs(1);

/// For the agent's own work beside the command's.
const SLACK: Duration = Duration::from_secs(20);
