// SPDX-License-Identifier: Apache-2.0
//! One conversation with a Varlink socket, without ever waiting in a system call.
//!
//! ```text
//! calls ─► connect ─► send the first ─► its answer ─► send the next … ─► all answers
//!              └─ nobody takes the connection: again 100 ms later, until the deadline
//! ```
//!
//! The console carries an [`Asking`] through its own loop; the command line has nothing else to
//! do and calls [`ask`]. What is deliberately absent: answers in pieces (`more`).

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kubermesh_node::control::{INTERFACE, Request};
use kubermesh_node::varlink::{self, Call, FrameError, Reply};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use serde_json::Value;

/// Calls on their way, and what came back so far.
#[derive(Debug)]
pub struct Asking {
    socket: PathBuf,
    connection: Option<Connection>,
    /// Those without an answer; the first of them is the one that was sent.
    calls: VecDeque<Call>,
    answers: Vec<Value>,
    within: Duration,
    until: Instant,
}

#[derive(Debug)]
struct Connection {
    stream: UnixStream,
    unsent: Vec<u8>,
    heard: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Not on a node, or PID 1 has not come so far.
    #[error("no Kubermesh node here: {} does not exist; run this on a node", .path.display())]
    Absent {
        /// The socket.
        path: PathBuf,
    },
    /// The socket cannot be connected to.
    #[error("connect to {}", .path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// `ECONNREFUSED`: it is there, but nobody listens any more.
        source: Errno,
    },
    /// The connection broke.
    #[error("talk to {}", .path.display())]
    Broken {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not in time.
    #[error("{} gave no answer within {}s", .path.display(), .within.as_secs())]
    Late {
        /// The socket.
        path: PathBuf,
        /// The whole time it had.
        within: Duration,
    },
    /// The other end does not speak Varlink, or closed in the middle.
    #[error("{} answered what is not Varlink", .path.display())]
    Foreign {
        /// The socket.
        path: PathBuf,
        /// What was wrong with it.
        source: FrameError,
    },
    /// The node understood and said no.
    #[error("{}", in_words(.error, .parameters))]
    Refused {
        /// The error's full name.
        error: String,
        /// Its arguments.
        parameters: Value,
    },
}

impl AskError {
    /// Nobody answered, rather than that the answer was no.
    #[must_use]
    pub const fn is_unreachable(&self) -> bool {
        !matches!(self, Self::Refused { .. })
    }
}

impl Asking {
    /// Begins; nothing is sent before [`Asking::advance`]. All answers must come within `within`.
    #[must_use]
    pub fn new(socket: &Path, calls: Vec<Call>, within: Duration, now: Instant) -> Self {
        Self {
            socket: socket.to_owned(),
            connection: None,
            calls: calls.into(),
            answers: Vec::new(),
            within,
            until: now.checked_add(within).unwrap_or(now),
        }
    }

    /// What to poll for; none while a connection is waited for.
    #[must_use]
    pub fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        let connection = self.connection.as_ref()?;
        let wish = if connection.unsent.is_empty() { PollFlags::IN } else { PollFlags::OUT };
        Some((connection.stream.as_fd(), wish))
    }

    /// When to call [`Asking::advance`] at the latest.
    #[must_use]
    pub fn wake_at(&self, now: Instant) -> Instant {
        let again = now.checked_add(CONNECT_AGAIN).unwrap_or(now);
        if self.connection.is_none() { self.until.min(again) } else { self.until }
    }

    /// Goes as far as it can without waiting; the answers once all are there.
    ///
    /// # Errors
    /// It is over: each way in which there will be no answer.
    pub fn advance(&mut self, now: Instant) -> Result<Option<Vec<Value>>, AskError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => match self.connect()? {
                Some(connection) => connection,
                None => return self.in_time(now).map(|()| None),
            },
        };
        let broken = |source| AskError::Broken { path: self.socket.clone(), source };
        connection.send().map_err(broken)?;
        let is_open = connection.hear().map_err(broken)?;
        while let Some(reply) = varlink::take::<Reply>(&mut connection.heard)
            .map_err(|source| AskError::Foreign { path: self.socket.clone(), source })?
        {
            if let Some(error) = reply.error {
                return Err(AskError::Refused { error, parameters: reply.parameters });
            }
            self.answers.push(reply.parameters);
            self.calls.pop_front();
            let Some(next) = self.calls.front() else {
                return Ok(Some(std::mem::take(&mut self.answers)));
            };
            connection.unsent = self.frame(next)?;
            connection.send().map_err(broken)?;
        }
        if !is_open {
            return Err(broken(ErrorKind::UnexpectedEof.into()));
        }
        self.in_time(now)?;
        self.connection = Some(connection);
        Ok(None)
    }

    fn in_time(&self, now: Instant) -> Result<(), AskError> {
        if now < self.until {
            return Ok(());
        }
        Err(AskError::Late { path: self.socket.clone(), within: self.within })
    }

    fn frame(&self, call: &Call) -> Result<Vec<u8>, AskError> {
        varlink::frame(call)
            .map_err(|source| AskError::Foreign { path: self.socket.clone(), source })
    }

    /// None: nobody takes it for the moment. connect(2) on a full backlog of a Unix socket says
    /// EAGAIN, and no poll(2) tells when to try again.
    fn connect(&self) -> Result<Option<Connection>, AskError> {
        let failed = |source| AskError::Connect { path: self.socket.clone(), source };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
            .map_err(failed)?;
        let address = SocketAddrUnix::new(&self.socket).map_err(failed)?;
        match rustix::net::connect(&socket, &address) {
            Ok(()) => {}
            Err(Errno::AGAIN) => return Ok(None),
            Err(Errno::NOENT) => return Err(AskError::Absent { path: self.socket.clone() }),
            Err(refusal) => return Err(failed(refusal)),
        }
        let unsent = self.calls.front().map_or(Ok(Vec::new()), |first| self.frame(first))?;
        Ok(Some(Connection { stream: UnixStream::from(socket), unsent, heard: Vec::new() }))
    }
}

impl Connection {
    fn send(&mut self) -> Result<(), std::io::Error> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(sent) => drop(self.unsent.drain(..sent.min(self.unsent.len()))),
                Err(refusal) if refusal.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(refusal) if refusal.kind() == ErrorKind::Interrupted => {}
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(())
    }

    /// Takes what is there; whether more can come. One frame's length at a time at most: the
    /// rest is still there for the next turn of the loop.
    fn hear(&mut self) -> Result<bool, std::io::Error> {
        let mut piece = [0; 4096];
        while self.heard.len() < varlink::FRAME_LIMIT {
            match self.stream.read(&mut piece) {
                Ok(0) => return Ok(false),
                Ok(length) => self.heard.extend_from_slice(piece.get(..length).unwrap_or_default()),
                Err(refusal) if refusal.kind() == ErrorKind::WouldBlock => break,
                Err(refusal) if refusal.kind() == ErrorKind::Interrupted => {}
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(true)
    }
}

/// Asks and waits for all answers, `within` at most.
///
/// # Errors
/// As [`Asking::advance`].
pub fn ask(socket: &Path, calls: Vec<Call>, within: Duration) -> Result<Vec<Value>, AskError> {
    let mut asking = Asking::new(socket, calls, within, Instant::now());
    loop {
        if let Some(answers) = asking.advance(Instant::now())? {
            return Ok(answers);
        }
        let now = Instant::now();
        let left = asking.wake_at(now).saturating_duration_since(now);
        let timeout = Timespec::try_from(left).unwrap_or_default();
        let mut fds: Vec<PollFd<'_>> = asking
            .interest()
            .map(|(fd, wish)| PollFd::from_borrowed_fd(fd, wish))
            .into_iter()
            .collect();
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(source) => {
                return Err(AskError::Broken { path: socket.to_owned(), source: source.into() });
            }
        }
    }
}

/// A request of the control interface as it goes over the socket: with the interface's name.
#[must_use]
pub fn call(request: &Request) -> Call {
    let mut value = serde_json::to_value(request).unwrap_or_default();
    let method = value.get("method").and_then(Value::as_str).unwrap_or_default();
    let method = format!("{INTERFACE}.{method}");
    let parameters = value.get_mut("parameters").map(Value::take).unwrap_or_default();
    Call { method, parameters, more: false, oneway: false }
}

/// What the node means by an error, for a person.
fn in_words(error: &str, parameters: &Value) -> String {
    let said = |key: &str| parameters.get(key).and_then(Value::as_str).unwrap_or("?").to_owned();
    match error.rsplit('.').next().unwrap_or(error) {
        "NoSuchService" => format!("there is no service {}", said("service")),
        "NotAllowed" => format!("not allowed: {}", said("sentence")),
        "WentBack" => format!("PID 1 is the program that it was: {}", said("sentence")),
        "Refused" => format!("the node refuses: {}", said("sentence")),
        "MethodNotFound" => format!("this node does not know {}", said("method")),
        "InvalidParameter" => format!("the node does not take {} so", said("parameter")),
        _ => format!("the node answered {error} {parameters}"),
    }
}

/// Between two tries to connect to a socket whose backlog is full: PID 1 takes connections on
/// each turn of its loop, so a tenth of a second is many turns.
const CONNECT_AGAIN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
