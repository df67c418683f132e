// SPDX-License-Identifier: Apache-2.0
//! Asks the log worker: for the command line and the console.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kubermesh_node::varlink::{self, Call, FrameError, Reply};
use serde::Deserialize;

use crate::entry::Entry;
use crate::read::Query;

/// Entries as they come: an iterator that waits for the next.
#[derive(Debug)]
pub struct Entries {
    stream: UnixStream,
    input: Vec<u8>,
    ready: VecDeque<Entry>,
    has_ended: bool,
}

/// Why the log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The worker is not there.
    #[error("ask the log worker at {path}")]
    Connect {
        /// Its socket.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It did not answer within 10 s, or went away in the middle.
    #[error("hear the log worker")]
    Hear(#[source] std::io::Error),
    /// It answered something else.
    #[error("understand the log worker")]
    Foreign(#[from] FrameError),
    /// It refused.
    #[error("the log worker refuses: {error} {parameters}")]
    Refused {
        /// The error's full name.
        error: String,
        /// Its arguments.
        parameters: String,
    },
}

/// Asks this node's log worker.
///
/// # Errors
/// It is not there.
pub fn read(query: &Query) -> Result<Entries, ReadError> {
    read_at(Path::new(SOCKET), query)
}

/// Asks the log worker at `path`.
///
/// # Errors
/// It is not there.
pub fn read_at(path: &Path, query: &Query) -> Result<Entries, ReadError> {
    let connect = |source| ReadError::Connect { path: path.to_owned(), source };
    let mut stream = UnixStream::connect(path).map_err(connect)?;
    let parameters = serde_json::to_value(query).map_err(FrameError::from)?;
    let call = Call { method: METHOD.to_owned(), parameters, more: true, oneway: false };
    let patience = if query.follow == Some(true) { None } else { Some(ANSWER_WITHIN) };
    stream.set_read_timeout(patience).map_err(ReadError::Hear)?;
    stream.write_all(&varlink::frame(&call)?).map_err(connect)?;
    Ok(Entries { stream, input: Vec::new(), ready: VecDeque::new(), has_ended: false })
}

impl Entries {
    /// Waits for the next reply and takes its entries.
    fn hear(&mut self) -> Result<(), ReadError> {
        let reply: Reply = loop {
            if let Some(reply) = varlink::take(&mut self.input)? {
                break reply;
            }
            let mut bytes = [0; 8192];
            match self.stream.read(&mut bytes).map_err(ReadError::Hear)? {
                0 => return Err(ReadError::Hear(std::io::ErrorKind::UnexpectedEof.into())),
                read => self.input.extend_from_slice(bytes.get(..read).unwrap_or_default()),
            }
        };
        if let Some(error) = reply.error {
            let parameters = reply.parameters.to_string();
            return Err(ReadError::Refused { error, parameters });
        }
        self.has_ended = !reply.continues;
        let Batch { entries } =
            serde_json::from_value(reply.parameters).map_err(FrameError::from)?;
        self.ready.extend(entries);
        Ok(())
    }
}

impl Iterator for Entries {
    type Item = Result<Entry, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() && !self.has_ended {
            if let Err(refusal) = self.hear() {
                self.has_ended = true;
                return Some(Err(refusal));
            }
        }
        self.ready.pop_front().map(Ok)
    }
}

impl AsFd for Entries {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[derive(Deserialize)]
struct Batch {
    entries: Vec<Entry>,
}

/// Where the log worker listens.
pub const SOCKET: &str = "/run/kubermesh/log/socket";
const METHOD: &str = "org.kubermesh.Log.Read";
/// The worker searches 64 MiB of a slow stick in less.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
