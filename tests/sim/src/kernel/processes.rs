// SPDX-License-Identifier: Apache-2.0
//! Processes: born, signalled, held in D state, ended, reaped; their numbers are soon given again.

use kubermesh_node::invariants::{Invariant, demand};
use kubermesh_node::service::ServiceName;
use kubermesh_node::service::spec::Kill;

use super::Machine;
use super::descriptors::{Id, Thing};
use super::files::CGROUPS;
use crate::Errno;
use crate::process::{Ended, Signal};
use crate::signals::Came;
use crate::spawn::{Place, Program};
use crate::world::{Happening, Worker};

/// A process.
#[derive(Debug)]
pub(crate) struct Process {
    /// Never given again, unlike the pid.
    pub(crate) serial: u64,
    pub(crate) parent: u32,
    /// Its process group; 0 for one that leads its own.
    pub(crate) group: u32,
    pub(crate) cgroup: String,
    pub(crate) service: Option<ServiceName>,
    /// Which start of its service it belongs to.
    pub(crate) start: u64,
    pub(crate) is_main: bool,
    /// It waits at its gate; it is in this cgroup at the latest when it is let go.
    pub(crate) gate: Option<Option<String>>,
    pub(crate) output: Option<Id>,
    pub(crate) third: Option<Id>,
    /// Not reaped yet.
    pub(crate) ended: Option<Ended>,
    pub(crate) is_killed: bool,
    /// In D state: no signal reaches it.
    pub(crate) is_stuck: bool,
    pub(crate) is_ready: bool,
    pub(crate) is_hung: bool,
    pub(crate) ignores_term: bool,
    pub(crate) is_blocked: bool,
    pub(crate) command: Vec<String>,
    pub(crate) worker: Option<Worker>,
}

/// Numbers from 2 to this one: so few that each comes again within seconds.
const PIDS: u32 = 120;

impl Machine {
    /// fork: a child at its gate, and PID 1's end of that.
    pub(crate) fn born(&mut self, program: &Program<'_>) -> (u32, i32) {
        let service: Option<ServiceName> = program
            .environment
            .iter()
            .find_map(|pair| pair.strip_prefix("KUBERMESH_SERVICE="))
            .and_then(|name| name.parse().ok());
        let (cgroup, moves_to) = match program.place {
            Place::Parents => (None, None),
            Place::Born(folder) => (self.folder(folder.number), None),
            Place::Moves(procs) => (None, procs.strip_suffix("/cgroup.procs").map(str::to_owned)),
        };
        let moves_to = moves_to.and_then(|path| path.strip_prefix(CGROUPS).map(str::to_owned));
        // It moves by itself, before PID 1 has written its number down or after.
        let is_quick = self.chance.one_in(2);
        let cgroup = cgroup.or_else(|| moves_to.clone().filter(|_| is_quick));
        let cgroup = cgroup.unwrap_or_else(|| "init".to_owned());
        // The kernel takes it for one that escaped the kill.
        let escapes = self.cgroups.get(&cgroup).is_some_and(|was_killed| *was_killed);
        let ids = [Some(program.output), program.third].map(|fd| self.id(fd?.number).ok());
        let process = Process {
            cgroup,
            is_main: service.is_some(),
            gate: Some(moves_to),
            output: ids[0].filter(|_| service.is_some() || is_rehearsal(program.command)),
            third: ids[1],
            command: program.command.to_vec(),
            service,
            ..Process::orphan()
        };
        let pid = self.enrol(process);
        let serial = self.last_serial;
        if escapes {
            let _ = self.signal(pid, Signal::KILL);
        }
        let gate = self.add(Thing::Gate { pid, serial, errno: None });
        (pid, self.open_id(gate, 3))
    }

    /// PID 1 lets a child through its gate: exec.
    pub(crate) fn let_go(&mut self, number: i32) {
        let Ok(gate) = self.id(number) else { return };
        let Some(Thing::Gate { pid, serial, .. }) = self.at(gate) else { return };
        let (pid, serial) = (*pid, *serial);
        let Some(process) = self.processes.get_mut(&pid) else { return };
        if process.serial != serial || process.ended.is_some() {
            return;
        }
        let Some(moves_to) = process.gate.take() else { return };
        let (service, command) = (process.service.clone(), process.command.join(" "));
        if let Some(cgroup) = moves_to {
            process.cgroup = cgroup;
        }
        self.told(|| format!("< process {pid}: {command}"));
        if let Some(name) = service {
            self.must_be_alone(&name, pid);
            let count = self.starts.entry(name).or_default();
            *count += 1;
            let start = *count;
            self.processes.get_mut(&pid).expect("it lives").start = start;
        }
        self.takes_character(pid, gate);
    }

    /// Whether the child has come so far; sometimes it takes long.
    pub(crate) fn has_own_table(&mut self, number: i32) -> bool {
        let is_there = matches!(self.thing(number), Ok(Thing::Gate { .. }));
        is_there && !self.chance.one_in(3)
    }

    /// Nobody will ever let it go: it ends, and has executed nothing.
    pub(crate) fn gate_closes(&mut self, pid: u32, serial: u64) {
        let waits = |process: &&Process| process.serial == serial && process.gate.is_some();
        if self.processes.get(&pid).filter(waits).is_some() {
            let within = self.chance.below(500);
            self.later(within, Happening::Ends { pid, serial, ended: Ended::Exit(127) });
        }
    }

    /// Gives it a number, and a hold on its descriptors.
    pub(crate) fn enrol(&mut self, mut process: Process) -> u32 {
        self.last_serial += 1;
        process.serial = self.last_serial;
        // More births than numbers.
        self.tally.reused += u64::from(self.last_serial >= u64::from(PIDS));
        process.output.into_iter().chain(process.third).for_each(|id| self.hold(id));
        loop {
            self.last_pid = if self.last_pid >= PIDS { 2 } else { self.last_pid + 1 };
            let is_led = |other: &Process| other.group == self.last_pid;
            if !self.processes.contains_key(&self.last_pid) && !self.processes.values().any(is_led)
            {
                process.group = if process.group == 0 { self.last_pid } else { process.group };
                self.processes.insert(self.last_pid, process);
                return self.last_pid;
            }
        }
    }

    /// When a run executes no other of the same service may live, nor what an earlier one left.
    fn must_be_alone(&mut self, name: &ServiceName, pid: u32) {
        let takes_all = self.specs.spec(name).is_some_and(|spec| spec.stop.kill == Kill::Group);
        let cgroup = &self.processes[&pid].cgroup;
        let other = self.processes.iter().find(|(other, process)| {
            let is_twin = process.is_main && process.service.as_ref() == Some(name);
            let is_left = takes_all && process.cgroup == *cgroup && !process.is_killed;
            let lives = process.ended.is_none() && process.gate.is_none();
            **other != pid && lives && (is_twin || is_left)
        });
        let other = other.map(|(pid, process)| (*pid, process.start));
        let verdict = demand(Invariant::One, other.is_none(), || {
            format!("{name} starts while process and start {other:?} of it live")
        });
        self.demand(verdict);
    }

    /// kill(2) by PID 1, which means a main process of its services, and nobody else.
    pub(crate) fn kill(&mut self, pid: u32, signal: Signal) -> Result<(), Errno> {
        let Some(process) = self.processes.get(&pid) else { return Err(Errno::SRCH) };
        let is_right = process.is_main || is_rehearsal(&process.command);
        let who = process.service.clone();
        self.told(|| format!("< {signal:?} to {pid}"));
        let verdict = demand(Invariant::One, is_right, || {
            format!("{signal:?} hits {pid}, which is no main process but one of {who:?}")
        });
        self.demand(verdict);
        self.signal(pid, signal)
    }

    pub(crate) fn signal(&mut self, pid: u32, signal: Signal) -> Result<(), Errno> {
        let Some(process) = self.processes.get_mut(&pid) else { return Err(Errno::SRCH) };
        let serial = process.serial;
        if process.ended.is_some() {
            return Ok(());
        }
        if signal == Signal::KILL {
            process.is_killed = true;
            if !process.is_stuck {
                let within = self.chance.below(3000);
                self.later(within, Happening::Ends { pid, serial, ended: Ended::Signal(9) });
            }
        } else if !process.ignores_term {
            let within = self.chance.below(200_000);
            let ended = if self.chance.one_in(2) { Ended::Exit(0) } else { Ended::Signal(15) };
            self.later(within, Happening::Ends { pid, serial, ended });
        }
        Ok(())
    }

    /// A process ends: what it held is let go, its children are PID 1's.
    pub(crate) fn ends(&mut self, pid: u32, ended: Ended) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        let (is_killed, is_stuck) = (process.is_killed, process.is_stuck);
        if process.ended.is_some() || is_stuck {
            return;
        }
        // Who was killed ends by that, whatever else it had in mind.
        let ended = if is_killed { Ended::Signal(9) } else { ended };
        process.ended = Some(ended);
        if process.command.first().is_some_and(|program| program.ends_with("modprobe")) {
            self.loaded
                .extend(process.command.iter().skip_while(|word| *word != "--").skip(1).cloned());
        }
        let let_go = [process.output.take(), process.third.take()];
        let parent = process.parent;
        let service = process.service.clone().filter(|_| process.is_main);
        self.told(|| match service {
            Some(name) => format!("> process {pid}, {name}, ends: {ended:?}"),
            None => format!("> process {pid} ends: {ended:?}"),
        });
        let_go.into_iter().flatten().for_each(|id| self.release(id));
        let mut has_zombies = parent == 1;
        for child in self.processes.values_mut().filter(|child| child.parent == pid) {
            child.parent = 1;
            has_zombies |= child.ended.is_some();
        }
        if parent != 1 {
            self.processes.remove(&pid);
        }
        if has_zombies {
            self.raise(Came::Child);
        }
    }

    pub(crate) fn raise(&mut self, signal: Came) {
        let is_merged = !self.pending.insert(signal);
        self.tally.merged += u64::from(is_merged && signal == Came::Child);
        let signals = |slot: &super::Slot| matches!(slot.thing, super::Thing::Signals);
        let ids: Vec<Id> =
            self.things.iter().filter(|(_, slot)| signals(slot)).map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.news(id));
    }

    /// Who waits to be reaped, one of them.
    pub(crate) fn next_ended(&mut self) -> Option<(u32, Ended)> {
        let is_zombie = |process: &Process| process.parent == 1 && process.ended.is_some();
        let zombies: Vec<u32> = self
            .processes
            .iter()
            .filter(|(_, process)| is_zombie(process))
            .map(|(pid, _)| *pid)
            .collect();
        let pid = *zombies.get(self.chance.index(zombies.len().max(1)))?;
        self.processes[&pid].ended.map(|ended| (pid, ended))
    }

    pub(crate) fn reap(&mut self, pid: u32) {
        if self.is_child(pid) && self.processes[&pid].ended.is_some() {
            self.processes.remove(&pid);
        }
    }

    pub(crate) fn group_of(&self, pid: u32) -> Option<u32> {
        self.processes.get(&pid).map(|process| process.group)
    }

    pub(crate) fn reap_one_of(&mut self, group: u32) -> Option<u32> {
        let is_wanted = |process: &Process| {
            process.parent == 1 && process.ended.is_some() && process.group == group
        };
        let (pid, _) = self.processes.iter().find(|(_, process)| is_wanted(process))?;
        let pid = *pid;
        self.processes.remove(&pid);
        Some(pid)
    }

    pub(crate) fn is_child(&self, pid: u32) -> bool {
        self.processes.get(&pid).is_some_and(|process| process.parent == 1)
    }
}

/// Of a program that may take PID 1's place.
pub(crate) fn is_rehearsal(command: &[String]) -> bool {
    command.get(1).is_some_and(|word| word == "--rehearse")
}

impl Process {
    /// One of nobody's, to be filled in.
    pub(crate) const fn orphan() -> Self {
        Self {
            serial: 0,
            parent: 1,
            group: 0,
            cgroup: String::new(),
            service: None,
            start: 0,
            is_main: false,
            gate: None,
            output: None,
            third: None,
            ended: None,
            is_killed: false,
            is_stuck: false,
            is_ready: false,
            is_hung: false,
            ignores_term: false,
            is_blocked: false,
            command: Vec::new(),
            worker: None,
        }
    }
}
