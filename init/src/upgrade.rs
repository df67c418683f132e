// SPDX-License-Identifier: Apache-2.0
//! Another program takes PID 1's place, and the old one comes back where it does not speak.
//!
//! ```text
//! call ─► sealed ─► rehearsal: a child reads a copy of the record ─► record whole, alarm, exec ─┐
//!                       └─ no, or late: refused                                                 │
//!      stays ◄── has answered somebody ◄── on trial ◄───────────────────────────────────────────┘
//!                                             └─ fault, panic, alarm: exec of the old one, --go-back
//! ```
//!
//! Until it stays the new one only adds to the record, so the old one can go on from it
//! (docs/decisions/0016-upgrade.md).

use std::process::ExitCode;

use kubermesh_node::brief::brief;
use kubermesh_node::control::INTERFACE;
use kubermesh_node::event::Event;
use kubermesh_node::node::Node;
use kubermesh_node::time::{Span, Time};
use kubermesh_node::varlink::Reply;
use kubermesh_sys::descriptor::{AsFd, OwnedFd};
use kubermesh_sys::process::{self, Signal};
use kubermesh_sys::spawn::{self, Child, Place, Program, SpawnError};
use kubermesh_sys::{Errno, fault, inherited, pipe, successor};
use serde_json::json;

use crate::events::{Events, now};
use crate::held::{Client, Held};
use crate::recorder::{RecordError, Recorder};
use crate::say::{Urgency, Voice, chain};
use crate::{act, kept, sense};

/// A program that rehearses to be PID 1, in a child.
pub(crate) struct Rehearsal {
    client: u64,
    program: OwnedFd,
    child: Child,
    /// What the child says.
    words: OwnedFd,
    /// When it is late; none once it was.
    until: Option<Time>,
    has_ended: bool,
}

/// This program is PID 1 and has answered nobody yet.
pub(crate) struct Trial {
    _old: Option<OwnedFd>,
    _asker: Option<OwnedFd>,
}

/// Why a program does not become PID 1.
#[derive(Debug, thiserror::Error)]
enum UpgradeError {
    #[error("another program rehearses")]
    Busy,
    #[error("this program is on trial itself")]
    OnTrial,
    #[error("no program came with the call")]
    Absent,
    #[error("the program is no file in memory that can be sealed")]
    Open(#[source] Errno),
    #[error("let it rehearse")]
    Start(#[from] SpawnError),
    #[error("it cannot be executed")]
    Execute(#[source] Errno),
    #[error("its rehearsal took longer than {WITHIN}")]
    Late,
    #[error("its rehearsal ended without a word")]
    Silent,
    #[error("its rehearsal ended so: {0}")]
    Words(String),
    #[error("who asked for it is gone")]
    Alone,
    #[error("hand over")]
    HandOver(#[from] Errno),
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// What a program says in its rehearsal, and no more.
const UNDERSTOOD: &str = "the record is understood";

/// So long at most takes the rehearsal, and then the trial. Both take milliseconds; a busy machine makes
/// seconds of it. The watchdog, which was fed 20 s before at most, bites after 60.
const WITHIN: Span = Span::from_secs(10);
const TRIAL_SECONDS: u32 = 10;

/// Lets the program that came with a client's call rehearse.
pub(crate) fn rehearse(client: u64, held: &mut Held, events: &Events, voice: &Voice) {
    match try_rehearse(client, held, events) {
        Ok(rehearsal) => held.rehearsal = Some(rehearsal),
        Err(refusal) => refuse(client, &refusal, held, voice),
    }
}

fn try_rehearse(client: u64, held: &mut Held, events: &Events) -> Result<Rehearsal, UpgradeError> {
    let asker = held.clients.get_mut(&client);
    let program = asker.and_then(|asker| asker.descriptor.take()).ok_or(UpgradeError::Absent)?;
    if held.rehearsal.is_some() {
        return Err(UpgradeError::Busy);
    }
    // The program to go back to has one number.
    if events.is_on_trial() {
        return Err(UpgradeError::OnTrial);
    }
    successor::seal(&program).map_err(UpgradeError::Open)?;
    let copy = events.copy()?;
    let (words, writer) = pipe::pair()?;
    let child = spawn::spawn(&Program {
        command: &["/proc/self/fd/3", "--rehearse"].map(str::to_owned),
        environment: &[],
        place: Place::Parents,
        oom_score: 0,
        input: copy.as_fd(),
        output: writer.as_fd(),
        third: Some(program.as_fd()),
    })?;
    spawn::let_go(&child.gate);
    let until = Some(now().after(WITHIN));
    Ok(Rehearsal { client, program, child, words, until, has_ended: false })
}

/// The child's part: says whether this program could go on from the record on its standard input.
pub(crate) fn understand() -> ExitCode {
    match Recorder::take_copy().and_then(|mut copy| copy.read()) {
        Ok(left) => {
            // A program that panics at such a thought shall do so here.
            let mut node = left.node;
            for (when, event) in left.events {
                drop(node.step(event, when));
            }
            eprint!("{UNDERSTOOD}");
            ExitCode::SUCCESS
        }
        Err(refusal) => {
            eprint!("{}", chain(&refusal));
            ExitCode::FAILURE
        }
    }
}

impl Rehearsal {
    /// When it is late.
    pub(crate) const fn until(&self) -> Option<Time> {
        self.until
    }

    /// This process has ended; it may be the child.
    pub(crate) const fn ended(&mut self, pid: u32) {
        self.has_ended |= self.child.pid == pid;
    }

    /// Ends a child that is late.
    pub(crate) fn look_at_the_clock(&mut self) {
        // Reaped, its number may be somebody else's.
        if !self.has_ended && self.until.is_some_and(|until| until <= now()) {
            self.until = None;
            let _ = process::kill(self.child.pid, Signal::KILL);
        }
    }

    fn verdict(&self) -> Result<(), UpgradeError> {
        if let Some(errno) = spawn::why_not(&self.child.gate) {
            return Err(UpgradeError::Execute(errno));
        }
        if self.until.is_none() {
            return Err(UpgradeError::Late);
        }
        let mut bytes = [0; 1024];
        let read = pipe::read(&self.words, &mut bytes).unwrap_or(0);
        let words = bytes.get(..read).unwrap_or_default();
        match words {
            _ if words == UNDERSTOOD.as_bytes() => Ok(()),
            [] => Err(UpgradeError::Silent),
            _ => Err(UpgradeError::Words(brief(&String::from_utf8_lossy(words)))),
        }
    }

    /// Becomes the program; comes back only where that cannot be done.
    fn take_over(
        &self,
        node: &Node,
        held: &mut Held,
        events: &mut Events,
        voice: &Voice,
    ) -> Result<(), UpgradeError> {
        self.verdict()?;
        let asker = held.clients.get(&self.client).ok_or(UpgradeError::Alone)?;
        let connection = inherited::place(&asker.socket, kept::ASKER)?;
        let _old = inherited::place(&successor::own()?, kept::OLD)?;
        events.write_whole(node)?;
        act::answer(self.client, &Reply { parameters: json!({}), ..Reply::default() }, held);
        // What this program has read or not yet sent goes with its memory: such a connection ends.
        let is_whole = held.clients.get(&self.client).is_some_and(Client::is_between_calls);
        let _asker = is_whole.then_some(connection);
        voice.say(Urgency::News, "another init has rehearsed and takes over");
        fault::limit(TRIAL_SECONDS);
        let refusal = successor::become_it(&self.program, c"--take-over");
        fault::limit(0);
        Err(UpgradeError::Execute(refusal))
    }
}

/// Goes over to the program whose rehearsal has ended, or refuses it.
pub(crate) fn go_over(node: &Node, held: &mut Held, events: &mut Events, voice: &Voice) {
    let Some(rehearsal) = held.rehearsal.take_if(|rehearsal| rehearsal.has_ended) else { return };
    if let Err(refusal) = rehearsal.take_over(node, held, events, voice) {
        refuse(rehearsal.client, &refusal, held, voice);
    }
}

fn refuse(client: u64, refusal: &UpgradeError, held: &mut Held, voice: &Voice) {
    let sentence = format!("another init is refused: {}", chain(refusal));
    voice.say(Urgency::Error, &sentence);
    answer_no(client, "Refused", &sentence, held);
}

fn answer_no(client: u64, error: &str, sentence: &str, held: &mut Held) {
    let parameters = json!({ "sentence": sentence });
    let error = Some(format!("{INTERFACE}.{error}"));
    act::answer(client, &Reply { parameters, error, continues: false }, held);
}

/// Takes what an upgrade has left open: on trial all of it stays; whoever asked is a client again.
pub(crate) fn take_back(news: &Event, held: &mut Held) -> Option<Trial> {
    let take = |number| inherited::take_back(number).ok();
    let trial = Trial { _old: take(kept::OLD), _asker: take(kept::ASKER) };
    let Event::Upgraded { refusal, .. } = news else { return None };
    let asker = trial._asker.as_ref().and_then(|asker| asker.try_clone().ok());
    let asker = asker.and_then(|socket| sense::welcome(socket, true, held));
    let Some(sentence) = refusal else { return Some(trial) };
    let asker = asker.unwrap_or(0);
    answer_no(asker, "WentBack", sentence, held);
    // What it has asked meanwhile went with the other program.
    held.dismiss(asker);
    None
}

impl Trial {
    /// The program stays: from now on the record is its own, and nobody goes back.
    pub(crate) fn end(self, node: &Node, events: &mut Events, voice: &Voice) {
        fault::stay();
        match events.stay(node) {
            Ok(()) => voice.say(Urgency::News, "this init has answered and stays PID 1"),
            // What the old one wrote and this one added is still good.
            Err(refusal) => voice.tell(&refusal),
        }
    }
}
