// SPDX-License-Identifier: Apache-2.0
//! All that PID 1 holds: descriptors, children, clients. `sense` reads from it, `act` writes to it.
//!
//! A descriptor that must live on after a crash has a number of its own: [`kept`].

use std::collections::{BTreeMap, BTreeSet};

use kubermesh_node::service::ServiceName;
use kubermesh_node::time::Time;
use kubermesh_sys::Errno;
use kubermesh_sys::descriptor::{AsFd, OwnedFd};
use kubermesh_sys::epoll::{Epoll, Tells};
use kubermesh_sys::interrupt;
use kubermesh_sys::power_key::PowerKey;
use kubermesh_sys::signals::Signals;
use kubermesh_sys::spawn::{self, Lent};
use kubermesh_sys::uevent::Uevents;
use kubermesh_sys::watchdog::Watchdog;

use crate::kept;
use crate::upgrade::Rehearsal;

/// What PID 1 holds.
pub(crate) struct Held {
    pub(crate) epoll: Epoll,
    pub(crate) signals: Signals,
    pub(crate) notify: OwnedFd,
    pub(crate) control: OwnedFd,
    pub(crate) uevents: Option<Uevents>,
    /// By the number of their input device.
    pub(crate) keys: BTreeMap<u32, PowerKey>,
    pub(crate) watchdog: Option<Watchdog>,
    pub(crate) next_tick: Time,
    /// Services by number, for the epoll's tokens and the kept descriptors. Sorted.
    pub(crate) names: Vec<ServiceName>,
    pub(crate) outputs: BTreeMap<ServiceName, Output>,
    pub(crate) channels: BTreeMap<ServiceName, OwnedFd>,
    /// Nobody reads the outputs: the newest of each is kept.
    pub(crate) keeps_output: bool,
    /// Cgroups that this life made, and in which nobody was killed by `cgroup.kill` since.
    pub(crate) clean_cgroups: BTreeSet<Box<str>>,
    /// The end on which a service says a newline, and its run.
    pub(crate) newlines: BTreeMap<ServiceName, (u64, OwnedFd)>,
    pub(crate) children: BTreeMap<u32, Child>,
    /// What children look at that have no table of descriptors of their own yet, by their pids.
    pub(crate) lent: BTreeMap<u32, Lent>,
    /// /dev/null; none where it could not be opened at the start.
    pub(crate) null: Option<OwnedFd>,
    /// Cgroups in which something may live that could not be killed.
    pub(crate) unkilled: BTreeSet<String>,
    pub(crate) clients: BTreeMap<u64, Client>,
    pub(crate) last_client: u64,
    /// Somebody was answered in this life.
    pub(crate) has_answered: bool,
    pub(crate) rehearsal: Option<Rehearsal>,
}

/// To so many children at a time. Each is lent four, and what is opened and closed must stay below
/// the numbers that are kept ([`kept`]).
const LENT_AT_MOST: usize = 24;

/// A service's output, kept over its restarts.
pub(crate) struct Output {
    pub(crate) reader: OwnedFd,
    pub(crate) writer: OwnedFd,
}

/// A main process.
pub(crate) struct Child {
    pub(crate) service: ServiceName,
    pub(crate) instance: u64,
    /// Why it could not be executed, once it has ended.
    pub(crate) gate: Option<OwnedFd>,
}

/// A control client.
pub(crate) struct Client {
    pub(crate) socket: OwnedFd,
    pub(crate) is_root: bool,
    pub(crate) inbox: Vec<u8>,
    /// What came with root's last words.
    pub(crate) descriptor: Option<OwnedFd>,
    pub(crate) outbox: Vec<u8>,
}

impl Client {
    pub(crate) const fn of(socket: OwnedFd, is_root: bool) -> Self {
        Self { socket, is_root, inbox: vec![], outbox: vec![], descriptor: None }
    }

    /// It has neither a part of a call nor of an answer.
    pub(crate) const fn is_between_calls(&self) -> bool {
        self.inbox.is_empty() && self.outbox.is_empty()
    }
}

/// What the epoll tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Signals,
    Notify,
    Control,
    Uevents,
    Key(u32),
    Channel(u32),
    Output(u32),
    Newline(u32),
    Client(u32),
}

impl Held {
    /// Has the epoll tell of this descriptor.
    pub(crate) fn hear(
        &self,
        descriptor: &impl AsFd,
        source: Source,
        tells: Tells,
    ) -> Result<(), Errno> {
        self.epoll.add(descriptor, source.token(), tells)
    }

    /// Lets go of a client. Of one that is held once more, by who is on trial, the kernel would go on to tell.
    pub(crate) fn dismiss(&mut self, client: u64) {
        if let Some(gone) = self.clients.remove(&client) {
            let _ = self.epoll.remove(&gone.socket);
            // What it has sent and nobody has read goes with it.
            interrupt::waits(|| drop(gone));
        }
    }

    /// Whether one more child may be lent its descriptors.
    pub(crate) fn may_lend(&mut self) -> bool {
        self.take_back_lent();
        self.lent.len() < LENT_AT_MOST
    }

    /// Closes what is no longer lent. A child that became nobody's ends, and what it was lent goes then.
    pub(crate) fn take_back_lent(&mut self) {
        let gate_of = |pid: &u32| self.children.get(pid).and_then(|child| child.gate.as_ref());
        self.lent.retain(|pid, _| gate_of(pid).is_none_or(|gate| !spawn::has_own_table(gate)));
    }

    pub(crate) fn number(&self, name: &ServiceName) -> u32 {
        kept::place_of(name, &self.names)
    }

    pub(crate) fn name(&self, number: u32) -> Option<ServiceName> {
        usize::try_from(number).ok().and_then(|at| self.names.get(at)).cloned()
    }
}

impl Source {
    pub(crate) const fn token(self) -> u64 {
        let (kind, number) = match self {
            Self::Signals => (0, 0),
            Self::Notify => (1, 0),
            Self::Control => (2, 0),
            Self::Uevents => (3, 0),
            Self::Key(number) => (4, number),
            Self::Channel(number) => (5, number),
            Self::Output(number) => (6, number),
            Self::Newline(number) => (7, number),
            Self::Client(number) => (8, number),
        };
        (kind << 32) | number as u64
    }

    pub(crate) fn of(token: u64) -> Option<Self> {
        let number = u32::try_from(token & u64::from(u32::MAX)).ok()?;
        Some(match token >> 32 {
            0 => Self::Signals,
            1 => Self::Notify,
            2 => Self::Control,
            3 => Self::Uevents,
            4 => Self::Key(number),
            5 => Self::Channel(number),
            6 => Self::Output(number),
            7 => Self::Newline(number),
            8 => Self::Client(number),
            _ => return None,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use kubermesh_sys::files;
    use kubermesh_sys::spawn::{Place, Program};

    use super::*;

    /// One that holds services of these names, and nothing of them yet.
    pub(crate) fn held(names: &[&str]) -> Held {
        let (notify, control) = kubermesh_sys::seqpacket::pair().unwrap();
        Held {
            epoll: Epoll::create().unwrap(),
            signals: Signals::open().unwrap(),
            notify,
            control,
            uevents: None,
            keys: BTreeMap::new(),
            watchdog: None,
            next_tick: Time::default(),
            names: names.iter().map(|name| name.parse().unwrap()).collect(),
            outputs: BTreeMap::new(),
            channels: BTreeMap::new(),
            keeps_output: true,
            clean_cgroups: BTreeSet::new(),
            newlines: BTreeMap::new(),
            children: BTreeMap::new(),
            lent: BTreeMap::new(),
            null: None,
            unkilled: BTreeSet::new(),
            clients: BTreeMap::new(),
            last_client: 0,
            has_answered: false,
            rehearsal: None,
        }
    }

    /// A child of the test's own, which has begun. Without an output what it says goes nowhere.
    pub(crate) fn started(command: &[&str], output: Option<&OwnedFd>) -> u32 {
        let null = files::null().unwrap();
        let command: Vec<String> = command.iter().map(ToString::to_string).collect();
        let program = Program {
            command: &command,
            environment: &[],
            place: Place::Parents,
            oom_score: 0,
            input: null.as_fd(),
            output: output.unwrap_or(&null).as_fd(),
            third: None,
        };
        let child = spawn::spawn(&program).unwrap();
        spawn::let_go(&child.gate);
        child.pid
    }

    /// The first run of a service.
    pub(crate) fn child(service: &str) -> Child {
        Child { service: service.parse().unwrap(), instance: 1, gate: None }
    }

    #[test]
    fn a_source_survives_its_token() {
        for source in [
            Source::Signals,
            Source::Uevents,
            Source::Key(3),
            Source::Channel(7),
            Source::Client(u32::MAX),
        ] {
            assert_eq!(Source::of(source.token()), Some(source));
        }
        assert_eq!(Source::of(9 << 32), None);
    }
}
