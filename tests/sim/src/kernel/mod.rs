// SPDX-License-Identifier: Apache-2.0
//! The simulated kernel: what PID 1 holds, who runs, what time it is. One for each thread of a test.
//!
//! [`call`] is the way in for every system call: time goes by, others run, and where the seed wants it PID 1
//! crashes there. [`with`] is for what is no call.

mod descriptors;
mod files;
mod judging;
mod pipes;
mod processes;
mod sockets;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use kubermesh_node::invariants::{Broken, Judge};
use kubermesh_node::service::{Catalog, ServiceName};
use kubermesh_node::status::Status;
use kubermesh_node::time::Time;

use judging::Interrupted;

use crate::Errno;
use crate::signals::Came;
use crate::tally::Tally;
use crate::world::{Chance, Client, Happening};
pub(crate) use descriptors::{Id, Slot, Thing};
pub(crate) use processes::{Process, is_rehearsal};

/// The machine: the kernel, and those who live in it.
pub(crate) struct Machine {
    /// Microseconds since the kernel started.
    pub(crate) now: u64,
    pub(crate) chance: Chance,
    /// No faults, no crashes, and whoever starts now behaves.
    pub(crate) is_calm: bool,
    /// Calls out of ten thousand that are refused.
    pub(crate) faults: u64,
    /// Calls out of a million at which PID 1 crashes.
    pub(crate) crashes: u64,
    /// The handlers are there: a crash is survived.
    pub(crate) may_crash: bool,
    pub(crate) has_begun: bool,
    /// Another program took over, and has not answered yet: the one before it comes back where it fails.
    pub(crate) is_on_trial: bool,
    /// The alarm rings then; it means something on trial only.
    pub(crate) alarm: Option<u64>,
    /// The kernel's command line says that any number of crashes is borne.
    pub(crate) bears_all: bool,
    /// Since the last event that was answered.
    pub(crate) crashes_in_a_row: u32,
    pub(crate) descriptors: BTreeMap<i32, Id>,
    /// Those that stay open over exec.
    pub(crate) kept: BTreeSet<i32>,
    pub(crate) things: BTreeMap<Id, Slot>,
    pub(crate) last_id: Id,
    pub(crate) pending: BTreeSet<Came>,
    pub(crate) processes: BTreeMap<u32, Process>,
    pub(crate) last_pid: u32,
    pub(crate) last_serial: u64,
    /// Whether `cgroup.kill` was written since each was made.
    pub(crate) cgroups: BTreeMap<String, bool>,
    pub(crate) services: Vec<(String, String)>,
    pub(crate) specs: Catalog,
    pub(crate) starts: BTreeMap<ServiceName, u64>,
    /// Input devices; whether each has a power key.
    pub(crate) inputs: BTreeMap<String, bool>,
    pub(crate) aliases: BTreeSet<String>,
    pub(crate) loaded: BTreeSet<String>,
    pub(crate) agenda: BTreeMap<(u64, u64), Happening>,
    pub(crate) last_happening: u64,
    pub(crate) clients: BTreeMap<u64, Client>,
    pub(crate) last_client: u64,
    /// Restarts that were answered with yes: the number of starts when they were asked.
    pub(crate) promised: BTreeMap<ServiceName, u64>,
    /// Services that have said READY=1, which PID 1 took and the node has not heard.
    pub(crate) unheard: BTreeSet<ServiceName>,
    /// It has just taken a word, which is nowhere else any more.
    pub(crate) has_taken: bool,
    /// So many restarts.
    pub(crate) granted: u64,
    pub(crate) has_cable: bool,
    pub(crate) watchdog: Option<(u64, u64)>,
    pub(crate) judge: Judge,
    /// The event that is being answered: where PID 1 crashes now, the next life answers it.
    pub(crate) interrupted: Option<Interrupted>,
    pub(crate) status: Status,
    pub(crate) status_at: u64,
    pub(crate) last_shown: String,
    pub(crate) story: Option<String>,
    pub(crate) steps: u64,
    pub(crate) turns: u64,
    pub(crate) tally: Tally,
    /// When the plan for this machine says what next.
    pub(crate) plan: Plan,
    pub(crate) crashed_at: Vec<u64>,
    /// The second, its turns in which the node was told nothing, and the steps before: PID 1 must not spin.
    pub(crate) idle: (u64, u64, u64),
    pub(crate) broken: Option<Broken>,
}

/// A machine's course: a storm of so many steps, then peace, then the way down.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Plan {
    Storm { steps: u64 },
    Peace { until: u64 },
    Down { until: u64 },
}

/// What ends a life of PID 1 in place of a value.
pub(crate) struct Crash;
/// Another program is executed, or the one before it again.
pub(crate) struct TakesOver;
pub(crate) struct GoesBack;
pub(crate) struct Left;

thread_local! {
    static MACHINE: RefCell<Option<Box<Machine>>> = const { RefCell::new(None) };
    static DYING: Cell<bool> = const { Cell::new(false) };
}

/// Puts a machine in the place of the last one.
pub(crate) fn install(machine: Machine) {
    DYING.set(false);
    MACHINE.with_borrow_mut(|place| *place = Some(Box::new(machine)));
}

pub(crate) fn with<T>(does: impl FnOnce(&mut Machine) -> T) -> T {
    MACHINE.with_borrow_mut(|machine| {
        let machine = machine.as_mut().expect("a machine was installed");
        let out = does(machine);
        if let Some(broken) = machine.broken.take() {
            end(broken);
        }
        out
    })
}

/// A system call.
pub(crate) fn call<T>(name: &'static str, does: impl FnOnce(&mut Machine) -> T) -> T {
    with(|machine| {
        machine.enters(name);
        does(machine)
    })
}

/// Whether PID 1's memory goes away while its descriptors stay.
pub(crate) fn is_dying() -> bool {
    DYING.get()
}

pub(crate) fn lives_again() {
    DYING.set(false);
}

/// Ends this life of PID 1.
pub(crate) fn end<T: Send + 'static>(why: T) -> ! {
    DYING.set(true);
    std::panic::resume_unwind(Box::new(why))
}

impl Machine {
    fn enters(&mut self, name: &'static str) {
        self.now += 1 + self.chance.below(9);
        // PID 1 is not alone: others run between any two of its calls.
        if self.chance.one_in(24) {
            self.now += self.chance.below(20_000);
            self.happen_until(self.now);
        }
        if self.crashes_in_a_row < 2 && self.rings() {
            self.told(|| format!("> the trial is over before {name}"));
            end(GoesBack);
        }
        // What hits three lives in a row is passed over, and that is told: no invariant speaks of it.
        // Before the first turn there may be no record yet: the machine starts again, as docs/invariants.md says.
        let may_crash =
            self.may_crash && self.turns > 0 && !self.is_calm && self.crashes_in_a_row < 2;
        // Right behind a word that was taken a crash hits worst.
        let often = if std::mem::take(&mut self.has_taken) { 8 } else { 1 };
        if may_crash && self.chance.below(1_000_000) < self.crashes * often {
            self.told(|| format!("> PID 1 crashes before {name}"));
            self.crashed_at.push(self.now);
            end(Crash);
        }
    }

    fn rings(&self) -> bool {
        self.is_on_trial && self.alarm.is_some_and(|at| at <= self.now)
    }

    /// Whether the kernel refuses this call now, and with what.
    pub(crate) fn refuses(&mut self, name: &str, with: &[Errno]) -> Result<(), Errno> {
        if !self.is_faulty(name) {
            return Ok(());
        }
        let errno = with[self.chance.index(with.len())];
        self.tally.refuses(errno);
        self.told(|| format!("> {name} is refused: {errno:?}"));
        Err(errno)
    }

    /// The record's own calls: refused only where PID 1 never crashes. Both together are not promised.
    pub(crate) fn forgets(&mut self, name: &str, with: &[Errno]) -> Result<(), Errno> {
        if self.crashes > 0 { Ok(()) } else { self.refuses(name, with) }
    }

    /// A file that is read. Who is in which cgroup may be hidden from a new life too.
    pub(crate) fn refuses_file(&mut self, path: &str, with: &[Errno]) -> Result<(), Errno> {
        if path.ends_with("/modalias") {
            // After an overrun it is read once; who is missed then waits for the next.
            return Ok(());
        }
        let had_begun = self.has_begun;
        self.has_begun |= path.ends_with("/cgroup");
        let answer = self.refuses(path, with);
        self.has_begun = had_begun;
        answer
    }

    pub(crate) fn is_faulty(&mut self, name: &str) -> bool {
        let is_so = !self.is_calm && self.has_begun && self.chance.below(10_000) < self.faults;
        if is_so {
            self.told(|| format!("> the kernel fails: {name}"));
        }
        is_so
    }

    pub(crate) fn told(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            let time = Time::from_millis(self.now / 1000);
            story.push_str(&format!("{time} {}\n", line()));
        }
    }

    /// Notes what broke; the next way out of the kernel ends the life.
    pub(crate) fn demand(&mut self, verdict: Result<(), Broken>) {
        if let Err(broken) = verdict
            && self.broken.is_none()
        {
            self.told(|| format!("~ broken: {broken}"));
            self.broken = Some(broken);
        }
    }

    pub(crate) fn logs(&mut self, line: &str) {
        let line = line.trim_end();
        self.told(|| format!("< log {line}"));
    }
}
