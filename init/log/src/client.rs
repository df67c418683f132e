// SPDX-License-Identifier: Apache-2.0
//! Asks the log worker, for the command line: a question, and entries until there are no more.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use kubermesh_node::varlink::{self, Call, FrameError, Reply};
use serde::{Deserialize, Serialize};

use crate::entry::Entry;

/// Which entries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// Of this service, or `kernel`; none: of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// At least this urgent, 0 to 7 (syslog(3)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// The newest so many, 1 to 10000; default 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<u32>,
    /// And those that come from now on, until the connection ends.
    #[serde(default)]
    pub follow: bool,
}

/// Entries as they come in one answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entries {
    /// Oldest first.
    pub entries: Vec<Entry>,
}

/// Why the log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Nobody listens.
    #[error("ask the log worker at {path}")]
    Connect {
        /// The socket.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It ended, or was silent for too long.
    #[error("hear the log worker")]
    Hear(#[from] std::io::Error),
    /// It said what is no Varlink.
    #[error("understand the log worker")]
    Frame(#[from] FrameError),
    /// It said no.
    #[error("the log worker refused: {0}")]
    Refused(String),
}

/// The longest wait for an answer; one that follows waits for ever between entries.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks, and hands each batch of entries to `take` until there are no more, or it says stop.
///
/// # Errors
/// Nobody listens, it fell silent, or refused.
pub fn read(
    socket: &Path,
    query: &Query,
    mut take: impl FnMut(Vec<Entry>) -> bool,
) -> Result<(), ReadError> {
    let connect = |source| ReadError::Connect { path: socket.display().to_string(), source };
    let mut stream = UnixStream::connect(socket).map_err(connect)?;
    stream.set_read_timeout((!query.follow).then_some(PATIENCE))?;
    let parameters = serde_json::to_value(query).map_err(FrameError::from)?;
    let call =
        Call { method: "org.kubermesh.Log.Read".to_owned(), parameters, more: true, oneway: false };
    stream.write_all(&varlink::frame(&call)?)?;
    let (mut buffer, mut bytes) = (Vec::new(), [0; 8192]);
    loop {
        while let Some(reply) = varlink::take::<Reply>(&mut buffer)? {
            if let Some(error) = reply.error {
                return Err(ReadError::Refused(format!("{error} {}", reply.parameters)));
            }
            let batch: Entries =
                serde_json::from_value(reply.parameters).map_err(FrameError::from)?;
            if !take(batch.entries) || !reply.continues {
                return Ok(());
            }
        }
        let length = stream.read(&mut bytes)?;
        if length == 0 {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
        buffer.extend_from_slice(bytes.get(..length).unwrap_or_default());
    }
}
