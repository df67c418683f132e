// SPDX-License-Identifier: Apache-2.0
//! The conversation with BIRD over its control socket: one connection, kept open.
//!
//! BIRD has no notice of neighbours, but it says its log to whoever asked for `echo`: each change
//! of a neighbour is a line there. So nothing is asked while nothing happens.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::{Instant, sleep_until};

use crate::think::dialogue::Dialogue;
use crate::think::effect::Question;
use crate::think::event::BirdEvent;

/// BIRD, as seen from here.
pub(crate) struct Bird {
    socket: PathBuf,
    conversation: Option<Conversation>,
    try_again_at: Instant,
}

struct Conversation {
    stream: UnixStream,
    dialogue: Dialogue,
    answer_by: Instant,
}

/// Why a conversation ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("BIRD closed its control socket")]
    Closed,
    #[error("BIRD did not answer within 3s")]
    Late,
    #[error("BIRD's control socket")]
    Socket(#[from] io::Error),
    #[error(transparent)]
    Babble(#[from] crate::think::dialogue::Babble),
}

impl Bird {
    /// Nobody has been asked yet.
    pub(crate) fn at(socket: &Path) -> Self {
        Self { socket: socket.to_owned(), conversation: None, try_again_at: Instant::now() }
    }

    /// Asks; the answer comes out of [`Bird::hear`]. Without a BIRD nothing is asked: its
    /// coming is an event of its own.
    pub(crate) fn ask(&mut self, question: Question) -> Vec<BirdEvent> {
        let Some(conversation) = &mut self.conversation else { return Vec::new() };
        match conversation.ask(question) {
            Ok(()) => Vec::new(),
            Err(ended) => self.hang_up(&ended),
        }
    }

    /// What it says next, perhaps nothing. May be dropped while it waits: nothing is lost.
    pub(crate) async fn hear(&mut self) -> Vec<BirdEvent> {
        let Some(conversation) = &mut self.conversation else {
            sleep_until(self.try_again_at).await;
            self.try_again_at = after(BETWEEN_TRIES);
            if let Ok(stream) = UnixStream::connect(&self.socket).await {
                self.conversation = Some(Conversation::new(stream));
            }
            return Vec::new();
        };
        match conversation.hear().await {
            Ok(events) => events,
            Err(ended) => self.hang_up(&ended),
        }
    }

    fn hang_up(&mut self, ended: &Ended) -> Vec<BirdEvent> {
        tracing::warn!(reason = %ended, "the conversation with BIRD ended");
        self.conversation = None;
        self.try_again_at = after(BETWEEN_TRIES);
        vec![BirdEvent::Down]
    }
}

impl Conversation {
    fn new(stream: UnixStream) -> Self {
        Self { stream, dialogue: Dialogue::new(), answer_by: after(PATIENCE) }
    }

    fn ask(&mut self, question: Question) -> Result<(), Ended> {
        if !self.dialogue.is_waiting() {
            self.answer_by = after(PATIENCE);
        }
        let words = self.dialogue.ask(question);
        // A few bytes always fit the socket's buffer, unless BIRD has not read for long.
        match self.stream.try_write(words)? {
            written if written == words.len() => Ok(()),
            _ => Err(Ended::Late),
        }
    }

    async fn hear(&mut self) -> Result<Vec<BirdEvent>, Ended> {
        tokio::select! {
            readable = self.stream.readable() => readable?,
            () = sleep_until(self.answer_by), if self.dialogue.is_waiting() => return Err(Ended::Late),
        }
        let mut bytes = [0; 4096];
        match self.stream.try_read(&mut bytes) {
            Ok(0) => Err(Ended::Closed),
            Ok(count) => {
                let events = self.dialogue.hear(bytes.get(..count).unwrap_or_default())?;
                if !events.is_empty() {
                    self.answer_by = after(PATIENCE);
                }
                Ok(events)
            }
            Err(refusal) if refusal.kind() == io::ErrorKind::WouldBlock => Ok(Vec::new()),
            Err(refusal) => Err(Ended::Socket(refusal)),
        }
    }
}

fn after(span: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(span).unwrap_or(now)
}

/// For one answer. BIRD answers within a millisecond; with a table of hundreds of nodes to
/// calculate, within tens.
const PATIENCE: Duration = Duration::from_secs(3);

/// While there is no BIRD, which is for a moment at boot and after its death: soon enough that
/// nobody waits for it.
const BETWEEN_TRIES: Duration = Duration::from_millis(250);
