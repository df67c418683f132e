// SPDX-License-Identifier: Apache-2.0
//! What a person's keys mean: pure, one for each terminal.
//!
//! ```text
//! s v l k h i ─────────────► asked or said at once
//! r ─► the services, numbered ─► a number ─► restart     any other key, or 10 s: nothing happens
//! B P ─► a question ───────────► y ────────► reboot, power off
//! ```
//!
//! The line may be noisy, or its other end another machine's console that prints a log: what comes
//! faster than a person types is ignored, and no answer counts that came with its question.

use std::time::{Duration, Instant};

use kubermesh_node::service::ServiceName;

/// What is wanted of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Overview,
    Services,
    Troubles,
    Links,
    Identify,
    /// The services' names, for [`Dialogue::choose`].
    Choice,
    Restart(ServiceName),
    Reboot,
    PowerOff,
}

/// What a key leads to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Say(Vec<String>),
    Ask(Wish),
}

/// Where the conversation stands.
#[derive(Debug)]
pub(crate) struct Dialogue {
    question: Option<Question>,
    escape: Escape,
    pace: Pace,
}

#[derive(Debug)]
struct Question {
    about: About,
    asked: Instant,
}

#[derive(Debug)]
enum About {
    Which { services: Vec<ServiceName>, number: usize },
    Sure(Wish),
}

/// Arrow and function keys come as `ESC [ A`, `ESC O P`: none of it is a key of ours.
#[derive(Debug, PartialEq, Eq)]
enum Escape {
    Outside,
    Begun,
    Inside,
}

#[derive(Debug)]
struct Pace {
    allowance: u32,
    last: Instant,
    is_flood: bool,
}

impl Dialogue {
    pub(crate) const fn new(now: Instant) -> Self {
        let pace = Pace { allowance: BURST, last: now, is_flood: false };
        Self { question: None, escape: Escape::Outside, pace }
    }

    /// What this byte from the terminal means.
    pub(crate) fn key(&mut self, byte: u8, now: Instant) -> Option<Step> {
        if self.pace.is_too_fast(now) {
            self.question = None;
            return None;
        }
        if self.escape.swallows(byte) {
            return None;
        }
        match self.question.take() {
            Some(question) => self.answer(question, byte, now),
            None => self.command(byte, now),
        }
    }

    /// Shows the services to choose from.
    pub(crate) fn choose(&mut self, services: Vec<ServiceName>, now: Instant) -> Vec<String> {
        let mut lines =
            vec!["Restart which service? Its number, then Enter; any other key: none.".to_owned()];
        for (number, service) in (1_usize..).zip(&services) {
            lines.push(format!("  {number:>2} {service}"));
        }
        self.question = Some(Question { about: About::Which { services, number: 0 }, asked: now });
        lines
    }

    /// When [`Dialogue::expire`] has something to say.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        self.question.as_ref().and_then(|question| question.asked.checked_add(PATIENCE))
    }

    /// Ends a question that nobody answers.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<Vec<String>> {
        if self.wake_at()? > now {
            return None;
        }
        self.question = None;
        Some(vec!["No answer for 10 s: nothing is done.".to_owned()])
    }

    fn command(&mut self, byte: u8, now: Instant) -> Option<Step> {
        let wish = match byte {
            b's' | b'\r' | b'\n' | b' ' => Wish::Overview,
            b'v' => Wish::Services,
            b'l' => Wish::Troubles,
            b'k' => Wish::Links,
            b'i' => Wish::Identify,
            b'r' => Wish::Choice,
            b'B' => return Some(self.sure(Wish::Reboot, "Reboot this node?", now)),
            b'P' => return Some(self.sure(Wish::PowerOff, "Power this node off?", now)),
            b'h' | b'?' => return Some(Step::Say(HELP.lines().map(str::to_owned).collect())),
            byte if byte.is_ascii_graphic() => {
                return Some(Step::Say(vec!["Press s for status, h for help.".to_owned()]));
            }
            _ => return None,
        };
        Some(Step::Ask(wish))
    }

    fn sure(&mut self, wish: Wish, words: &str, now: Instant) -> Step {
        self.question = Some(Question { about: About::Sure(wish), asked: now });
        Step::Say(vec![format!("{words} y: yes, any other key: no.")])
    }

    fn answer(&mut self, question: Question, byte: u8, now: Instant) -> Option<Step> {
        let not_done = Some(Step::Say(vec!["Nothing is done.".to_owned()]));
        // A line break that follows the key is the same keystroke's: some terminals send both.
        let came_along = now.saturating_duration_since(question.asked) < REACTION;
        match (question.about, byte) {
            (about, b'\r' | b'\n') if came_along => {
                self.question = Some(Question { about, ..question });
                None
            }
            _ if came_along => not_done,
            (About::Sure(wish), b'y' | b'Y') => Some(Step::Ask(wish)),
            (About::Sure(_), _) => not_done,
            (About::Which { services, number }, b'\r' | b'\n') => number
                .checked_sub(1)
                .and_then(|at| services.into_iter().nth(at))
                .map_or(not_done, |service| Some(Step::Ask(Wish::Restart(service)))),
            (About::Which { services, number }, b'0'..=b'9') => {
                let digit = usize::from(byte.saturating_sub(b'0'));
                let number = number.saturating_mul(10).saturating_add(digit);
                if number > services.len() {
                    return not_done;
                }
                let about = About::Which { services, number };
                self.question = Some(Question { about, ..question });
                None
            }
            (About::Which { .. }, _) => not_done,
        }
    }
}

impl Escape {
    fn swallows(&mut self, byte: u8) -> bool {
        let (next, is_swallowed) = match (&*self, byte) {
            (_, 0x1b) => (Self::Begun, true),
            (Self::Begun, b'[' | b'O') => (Self::Inside, true),
            // ECMA-48 5.4: parameters are 0x20 to 0x3f, the final byte is 0x40 to 0x7e.
            (Self::Inside, 0x20..=0x3f) => (Self::Inside, true),
            (Self::Inside | Self::Begun, _) => (Self::Outside, true),
            (Self::Outside, _) => (Self::Outside, false),
        };
        *self = next;
        is_swallowed
    }
}

impl Pace {
    fn is_too_fast(&mut self, now: Instant) -> bool {
        let pause = now.saturating_duration_since(self.last);
        let earned = pause.as_millis().checked_div(KEY_EACH.as_millis()).unwrap_or_default();
        let earned = u32::try_from(earned).unwrap_or(BURST);
        if earned > 0 {
            self.last = now;
            self.is_flood &= pause < QUIET;
        }
        if self.is_flood {
            self.last = now;
            return true;
        }
        self.allowance = self.allowance.saturating_add(earned).min(BURST);
        match self.allowance.checked_sub(1) {
            Some(left) => self.allowance = left,
            None => self.is_flood = true,
        }
        self.is_flood
    }
}

const HELP: &str = "\
s  status: what this node waits for
v  services
l  last errors
k  links and neighbours
i  identify: blink the light for 60 s
r  restart a service
B  reboot
P  power off
h  this help";

/// A question that nobody answers any more must not turn a later key into a reboot.
const PATIENCE: Duration = Duration::from_secs(10);
/// Nobody reads a question and answers it faster; the next byte of a log is there after 0.1 ms.
const REACTION: Duration = Duration::from_millis(20);
/// Keys at once: a cursor key is three bytes, an impatient person some more.
const BURST: u32 = 16;
/// The pace of a fast typist.
const KEY_EACH: Duration = Duration::from_millis(100);
/// After so long a pause it is a person again.
const QUIET: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
