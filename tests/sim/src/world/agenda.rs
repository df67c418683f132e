// SPDX-License-Identifier: Apache-2.0
//! What will happen, and when.

use crate::kernel::Machine;
use crate::process::Ended;

/// Something that will happen to a process, unless that is another by then, or to the machine.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    Ends { pid: u32, serial: u64, ended: Ended },
    IsReady { pid: u32, serial: u64 },
    Forks { pid: u32, serial: u64 },
    Prints { pid: u32, serial: u64, bytes: u64 },
    GetsStuck { pid: u32, serial: u64 },
    GetsLoose { pid: u32, serial: u64 },
    Hangs { pid: u32, serial: u64 },
    Looks { pid: u32, serial: u64 },
    Client(u64),
    Nature,
}

impl Happening {
    const fn process(&self) -> Option<(u32, u64)> {
        match self {
            Self::Ends { pid, serial, .. }
            | Self::IsReady { pid, serial }
            | Self::Forks { pid, serial }
            | Self::Prints { pid, serial, .. }
            | Self::GetsStuck { pid, serial }
            | Self::GetsLoose { pid, serial }
            | Self::Hangs { pid, serial }
            | Self::Looks { pid, serial } => Some((*pid, *serial)),
            Self::Client(_) | Self::Nature => None,
        }
    }
}

impl Machine {
    pub(crate) fn later(&mut self, within: u64, what: Happening) {
        self.last_happening += 1;
        self.agenda.insert((self.now + within, self.last_happening), what);
    }

    pub(crate) fn next_happening(&self) -> Option<u64> {
        self.agenda.first_key_value().map(|((at, _), _)| *at)
    }

    pub(crate) fn happen_until(&mut self, now: u64) {
        while self.next_happening().is_some_and(|at| at <= now) {
            if let Some((_, what)) = self.agenda.pop_first() {
                self.happens(what);
            }
        }
    }

    fn happens(&mut self, what: Happening) {
        if let Some((pid, serial)) = what.process() {
            let is_there = |process: &crate::kernel::Process| {
                process.serial == serial && process.ended.is_none()
            };
            if !self.processes.get(&pid).is_some_and(is_there) {
                return;
            }
        }
        match what {
            Happening::Ends { pid, ended, .. } => self.ends(pid, ended),
            Happening::IsReady { pid, .. } => self.says_ready(pid),
            Happening::Forks { pid, .. } => self.forks(pid),
            Happening::Prints { pid, bytes, .. } => self.prints(pid, bytes),
            Happening::GetsStuck { pid, .. } => self.gets_stuck(pid, true),
            Happening::GetsLoose { pid, .. } => self.gets_stuck(pid, false),
            Happening::Hangs { pid, .. } => self.hangs(pid),
            Happening::Looks { pid, .. } => self.looks(pid),
            Happening::Client(number) => self.client_goes_on(number),
            Happening::Nature => self.nature_goes_on(),
        }
    }
}
