// SPDX-License-Identifier: Apache-2.0
//! One seed: machines that boot, go through a storm and a peace, and go down, until the steps are used up.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use kubermesh_node::invariants::{Broken, Invariant, Judge};
use kubermesh_node::service::Catalog;
use kubermesh_node::status::Status;

use crate::kernel::{Crash, GoesBack, Left, Machine, Plan, TakesOver, install, lives_again, with};
use crate::tally::Tally;
use crate::world::{Chance, Happening};
use crate::{recover, run};

/// What came of a seed.
#[derive(Debug, Default)]
pub struct Trial {
    /// Events that the node thought about.
    pub steps: u64,
    /// Turns of the loop.
    pub turns: u64,
    /// Machines booted, and crashes of PID 1 survived.
    pub machines: u64,
    pub crashes: u64,
    /// Restarts that a client was promised.
    pub granted: u64,
    /// Programs that took PID 1's place, and those that were given up for the one before.
    pub taken_over: u64,
    pub gone_back: u64,
    /// What hit its machines.
    pub tally: Tally,
    /// What broke, where something did.
    pub broken: Option<Broken>,
    /// What happened on the last machine, where it was asked for.
    pub story: String,
}

/// Runs a seed for at least so many steps.
#[must_use]
pub fn run(seed: u64, steps: u64, services: &[(String, String)], tells: bool) -> Trial {
    let mut chance = Chance::new(seed);
    let mut trial = Trial::default();
    while trial.steps < steps && trial.broken.is_none() {
        let machine = Machine::new(chance.next(), services, tells);
        trial.machines += 1;
        install(machine);
        trial.broken = lives(&mut trial);
        with(|machine| {
            trial.steps += machine.steps;
            trial.turns += machine.turns;
            trial.granted += machine.granted;
            trial.tally.add(&machine.tally);
            trial.story = machine.story.take().unwrap_or_default();
        });
    }
    trial
}

/// PID 1's lives on one machine, until it is left or something breaks.
fn lives(trial: &mut Trial) -> Option<Broken> {
    let mut begins: fn() = run::first;
    loop {
        let died = catch_unwind(AssertUnwindSafe(begins));
        lives_again();
        let Err(why) = died else { return broken(Invariant::Alive, "PID 1 has ended") };
        if why.is::<Left>() {
            return with(|machine| machine.was_left());
        }
        match why.downcast::<Broken>() {
            Ok(broken) => return Some(*broken),
            Err(why) if why.is::<TakesOver>() => {
                trial.taken_over += 1;
                with(Machine::executes);
                begins = recover::take_over;
            }
            Err(why) if why.is::<Crash>() || why.is::<GoesBack>() => {
                trial.crashes += u64::from(why.is::<Crash>());
                let goes_back = with(Machine::crashed);
                trial.gone_back += u64::from(goes_back);
                begins = if goes_back { go_back } else { go_on };
            }
            Err(why) => {
                let words = why.downcast_ref::<String>().map(String::as_str);
                let words = words.or_else(|| why.downcast_ref::<&str>().copied());
                return broken(Invariant::Alive, words.unwrap_or("PID 1 panics"));
            }
        }
    }
}

fn go_on() {
    recover::go_on("a crash");
}

fn go_back() {
    recover::go_back("a crash, or late");
}

fn broken(invariant: Invariant, what: &str) -> Option<Broken> {
    Some(Broken { invariant, what: what.to_owned() })
}

impl Machine {
    fn new(seed: u64, services: &[(String, String)], tells: bool) -> Self {
        let mut chance = Chance::new(seed);
        let files = services.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        let specs = Catalog::strict(files).expect("the services fit together");
        let (faults, crashes) = ([0, 5, 40, 200], [0, 30, 100, 300]);
        let storm = 500 + chance.below(6000);
        let mut machine = Self {
            now: 1_000_000,
            is_calm: false,
            faults: faults[chance.index(4)],
            crashes: crashes[chance.index(4)],
            chance,
            may_crash: false,
            has_begun: false,
            is_on_trial: false,
            alarm: None,
            bears_all: false,
            crashes_in_a_row: 0,
            descriptors: BTreeMap::new(),
            kept: BTreeSet::new(),
            things: BTreeMap::new(),
            last_id: 0,
            pending: BTreeSet::new(),
            processes: BTreeMap::new(),
            last_pid: 1,
            last_serial: 0,
            cgroups: BTreeMap::new(),
            services: services.to_vec(),
            starts: BTreeMap::new(),
            inputs: BTreeMap::new(),
            aliases: BTreeSet::new(),
            loaded: BTreeSet::new(),
            agenda: BTreeMap::new(),
            last_happening: 0,
            clients: BTreeMap::new(),
            last_client: 0,
            promised: BTreeMap::new(),
            unheard: BTreeSet::new(),
            has_taken: false,
            granted: 0,
            has_cable: true,
            watchdog: None,
            judge: Judge::new(specs.clone()),
            interrupted: None,
            specs,
            status: Status::at_start(),
            status_at: 0,
            last_shown: String::new(),
            story: tells.then(String::new),
            steps: 0,
            turns: 0,
            tally: Tally::default(),
            plan: Plan::Storm { steps: storm },
            crashed_at: vec![],
            idle: (0, 0, 0),
            broken: None,
        };
        machine.bears_all = machine.chance.one_in(2);
        machine.later(0, Happening::Nature);
        machine
    }

    /// A life ends before its time. Whether the program before it comes back.
    fn crashed(&mut self) -> bool {
        self.crashes_in_a_row += 1;
        if let Some(hit) = &self.interrupted {
            self.judge = hit.judge.clone();
        }
        self.executes();
        std::mem::take(&mut self.is_on_trial)
    }

    /// PID 1's memory is gone; its descriptors and children are not.
    fn executes(&mut self) {
        self.may_crash = false;
        self.has_begun = false;
        let closed: Vec<i32> =
            self.descriptors.keys().copied().filter(|number| !self.kept.contains(number)).collect();
        closed.into_iter().for_each(|number| self.close(number));
    }

    /// The machine was left: at the end of the way down, or after too many crashes.
    fn was_left(&mut self) -> Option<Broken> {
        let last = self.crashed_at.last().copied().unwrap_or(0);
        let lately = self.crashed_at.iter().filter(|at| *at + 60_000_000 > last).count();
        if self.judge.has_left() || lately > 3 {
            return None;
        }
        broken(Invariant::Alive, "the machine is left, and nobody wished it")
    }
}
