// SPDX-License-Identifier: Apache-2.0
//! BIRD's control protocol: bytes in, what was said out.
//!
//! ```text
//! 0001 BIRD 2.17.6 ready.          four digits and a space end a reply
//! 1013-mesh:                       four digits and a hyphen go on
//!  10.0.0.9   1  Full/PtP  …       a space goes on with the last code
//! +mesh: Neighbor … to Full        its log, after `echo`, at any moment
//! ```
//!
//! Replies come in the order of the questions. What is deliberately absent: the socket.

use std::collections::VecDeque;
use std::net::IpAddr;

use super::effect::Question;
use super::event::{Adjacency, BirdEvent};

/// One conversation, from the greeting on.
#[derive(Debug)]
pub(crate) struct Dialogue {
    unread: Vec<u8>,
    waiting: VecDeque<Waiting>,
    lines: Vec<String>,
}

/// What BIRD owes us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    Greeting,
    Answer(Question),
}

/// BIRD said what this protocol does not have.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("BIRD said a line of more than {LINE_LIMIT} bytes, or more than {REPLY_LIMIT} lines")]
pub(crate) struct Babble;

impl Dialogue {
    /// A conversation in which BIRD has the first word.
    pub(crate) fn new() -> Self {
        Self { unread: Vec::new(), waiting: VecDeque::from([Waiting::Greeting]), lines: Vec::new() }
    }

    /// Whether BIRD owes an answer.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What to write for this question.
    pub(crate) fn ask(&mut self, question: Question) -> &'static [u8] {
        self.waiting.push_back(Waiting::Answer(question));
        match question {
            Question::Echo => b"echo all\n",
            Question::Configure => b"configure\n",
            Question::Neighbours => b"show ospf neighbors mesh\n",
        }
    }

    /// Takes in what was read.
    pub(crate) fn hear(&mut self, bytes: &[u8]) -> Result<Vec<BirdEvent>, Babble> {
        self.unread.extend_from_slice(bytes);
        let mut events = Vec::new();
        while let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.unread.drain(..=end).collect();
            events.extend(self.line(String::from_utf8_lossy(&line).trim_end()));
        }
        if self.unread.len() > LINE_LIMIT || self.lines.len() > REPLY_LIMIT {
            return Err(Babble);
        }
        Ok(events)
    }

    fn line(&mut self, line: &str) -> Option<BirdEvent> {
        if let Some(logged) = line.strip_prefix('+') {
            return logged_event(logged);
        }
        if let Some(more) = line.strip_prefix(' ') {
            self.lines.push(more.to_owned());
            return None;
        }
        let (code, text) = line.split_at_checked(4)?;
        if let Some(more) = text.strip_prefix('-') {
            self.lines.push(more.to_owned());
            return None;
        }
        let lines = std::mem::take(&mut self.lines);
        match self.waiting.pop_front()? {
            Waiting::Greeting => Some(BirdEvent::Up),
            Waiting::Answer(Question::Echo) => None,
            // 8 and 9 begin the codes of errors, in BIRD's doc/reply_codes.
            Waiting::Answer(Question::Configure) if code.starts_with(['8', '9']) => {
                Some(BirdEvent::Unconfigured(text.trim().to_owned()))
            }
            Waiting::Answer(Question::Configure) => Some(BirdEvent::Configured),
            Waiting::Answer(Question::Neighbours) => {
                Some(BirdEvent::Neighbours(lines.iter().filter_map(|row| adjacency(row)).collect()))
            }
        }
    }
}

/// `10.0.0.9  1  Full/PtP  3.228  eth0  fe80::9`; none for a heading.
fn adjacency(row: &str) -> Option<Adjacency> {
    let mut columns = row.split_whitespace();
    let router_id: std::net::Ipv4Addr = columns.next()?.parse().ok()?;
    let (_priority, state, _dead_in) = (columns.next()?, columns.next()?, columns.next()?);
    let port = columns.next()?.to_owned();
    let address = columns.next().and_then(|address| address.parse().ok());
    let state = state.split('/').next()?.to_owned();
    Some(Adjacency { router_id: router_id.to_string(), state, port, address })
}

/// `mesh: Neighbor 10.0.0.9 on eth0 changed state from Loading to Full`,
/// `mesh: Bad packet from fe80::9 via eth0 - my own router ID (0)`,
/// `<3 messages lost>`.
fn logged_event(line: &str) -> Option<BirdEvent> {
    if let Some((_, bad)) = line.split_once(" packet from ") {
        let (sender, reason) = bad.split_once(" - ")?;
        let (from, port) = sender.split_once(" via ").or_else(|| sender.split_once(" on "))?;
        let from: IpAddr = from.strip_prefix("nbr ").unwrap_or(from).parse().ok()?;
        let (port, reason) = (port.to_owned(), reason.to_owned());
        return Some(BirdEvent::BadPacket { port, from, reason });
    }
    let stirs = line.contains(": Neighbor ") || line.contains("messages lost");
    stirs.then_some(BirdEvent::Stirred)
}

/// Longer than any line that BIRD writes: its own buffer for one is 1024 bytes.
const LINE_LIMIT: usize = 16 * 1024;

/// One line for each neighbour: a machine has not so many ports.
const REPLY_LIMIT: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    /// Taken from BIRD 2.0.12 and 2.17.6, cut at odd places.
    #[test]
    fn a_table_is_read_whole_however_it_arrives() {
        let mut dialogue = Dialogue::new();
        assert_eq!(dialogue.hear(b"0001 BIRD 2.17.6 ready.\n"), Ok(vec![BirdEvent::Up]));
        assert!(!dialogue.is_waiting());
        assert_eq!(dialogue.ask(Question::Neighbours), b"show ospf neighbors mesh\n");
        let reply = b"1013-mesh:\n Router ID   \tPri\t     State     \tDTime\tInterface  Router IP\n 10.0.0.9     \t  1\tFull/PtP  \t 3.228\teth0       fe80::9\n+mesh: Scheduling routing table calculation\n 10.0.0.8     \t  1\tInit/PtP  \t 3.928\teth1       fe80::8\n0000 \n";
        let mut events = Vec::new();
        for piece in reply.chunks(7) {
            events.extend(dialogue.hear(piece).unwrap());
        }
        let row = |router_id: &str, state: &str, port: &str, address: &str| Adjacency {
            router_id: router_id.into(),
            state: state.into(),
            port: port.into(),
            address: Some(address.parse().unwrap()),
        };
        let rows = vec![
            row("10.0.0.9", "Full", "eth0", "fe80::9"),
            row("10.0.0.8", "Init", "eth1", "fe80::8"),
        ];
        assert_eq!(events, [BirdEvent::Neighbours(rows)]);
    }

    #[test]
    fn answers_belong_to_questions_in_their_order() {
        let mut dialogue = Dialogue::new();
        dialogue.ask(Question::Echo);
        dialogue.ask(Question::Configure);
        dialogue.ask(Question::Configure);
        let said = b"0001 BIRD 2.0.12 ready.\n0000 \n0002-Reading configuration from b.conf\n0003 Reconfigured\n0002-Reading configuration from b.conf\n8002 b.conf:3:1 syntax error\n";
        assert_eq!(
            dialogue.hear(said),
            Ok(vec![
                BirdEvent::Up,
                BirdEvent::Configured,
                BirdEvent::Unconfigured("b.conf:3:1 syntax error".into()),
            ])
        );
        assert!(!dialogue.is_waiting());
    }

    #[test]
    fn the_log_tells_of_neighbours_and_of_packets_that_are_dropped() {
        let bad = |reason: &str| BirdEvent::BadPacket {
            port: "eth0".into(),
            from: "fe80::9".parse().unwrap(),
            reason: reason.into(),
        };
        for (line, event) in [
            (
                "mesh: Neighbor 10.0.0.9 on eth0 changed state from Loading to Full",
                Some(BirdEvent::Stirred),
            ),
            ("mesh: Neighbor 10.0.0.9 on eth0 removed", Some(BirdEvent::Stirred)),
            ("<12 messages lost>", Some(BirdEvent::Stirred)),
            (
                "mesh: Bad packet from fe80::9 via eth0 - my own router ID (0)",
                Some(bad("my own router ID (0)")),
            ),
            (
                "mesh: Bad HELLO packet from nbr 10.0.0.9 on eth0 - hello interval mismatch (10)",
                Some(BirdEvent::BadPacket {
                    port: "eth0".into(),
                    from: "10.0.0.9".parse().unwrap(),
                    reason: "hello interval mismatch (10)".into(),
                }),
            ),
            ("mesh: Starting routing table calculation", None),
        ] {
            assert_eq!(logged_event(line), event, "{line}");
        }
    }

    #[test]
    fn a_line_without_end_is_refused_before_it_fills_the_memory() {
        let mut dialogue = Dialogue::new();
        assert_eq!(dialogue.hear(&[b'x'; 20_000]), Err(Babble));
    }
}
