// SPDX-License-Identifier: Apache-2.0
//! What a process is like: soon ready or never, obedient or deaf, alone or with children, still or talkative.

use kubermesh_node::service::ServiceName;
use kubermesh_node::service::spec::Kind;

use super::agenda::Happening;
use super::workers::Worker;
use crate::Errno;
use crate::kernel::{Id, Machine, Process, Thing, is_rehearsal};
use crate::process::{Ended, Signal};

impl Machine {
    /// A new main process, or a helper of PID 1's own, learns what it is like.
    pub(crate) fn takes_character(&mut self, pid: u32, gate: Id) {
        let serial = self.processes[&pid].serial;
        let service = self.processes[&pid].service.clone();
        if is_rehearsal(&self.processes[&pid].command) {
            return self.rehearses(pid, gate);
        }
        let Some(spec) = service.and_then(|name| self.specs.spec(&name)).cloned() else {
            let within = self.chance.below(300_000);
            return self.later(within, Happening::Ends { pid, serial, ended: Ended::Exit(0) });
        };
        let is_wild = !self.is_calm;
        if is_wild && self.chance.percent(4) {
            let errno = [Errno::NOENT, Errno::BUSY, Errno::NOMEM][self.chance.index(3)];
            self.told(|| format!("> process {pid} cannot be executed: {errno:?}"));
            if let Some(Thing::Gate { errno: place, .. }) = self.at(gate) {
                *place = Some(errno.raw_os_error());
            }
            let within = self.chance.below(2000);
            return self.later(within, Happening::Ends { pid, serial, ended: Ended::Exit(127) });
        }
        let is_deaf = is_wild && self.chance.percent(15);
        let process = self.processes.get_mut(&pid).expect("it was just born");
        process.ignores_term = is_deaf;
        process.worker = spec.worker.then(Worker::default);
        let ready_within = 5000 + self.chance.below(800_000);
        if !(is_wild && self.chance.percent(8)) {
            self.later(ready_within, Happening::IsReady { pid, serial });
        }
        if spec.kind == Kind::Service {
            self.lives(pid, serial, is_wild);
        }
    }

    /// A program that may take PID 1's place understands the record, or not, or never says.
    fn rehearses(&mut self, pid: u32, gate: Id) {
        let process = &self.processes[&pid];
        let (serial, output) = (process.serial, process.output);
        let (mut words, mut ends) = ("the record is understood", true);
        match self.chance.below(12) {
            0 => {
                if let Some(Thing::Gate { errno, .. }) = self.at(gate) {
                    *errno = Some(Errno::NOEXEC.raw_os_error());
                }
                words = "";
            }
            1 => words = "",
            2 => words = "the record is of another version",
            3 => (words, ends) = ("", false),
            _ => {}
        }
        self.told(|| format!("> process {pid} says in its rehearsal: {words:?}"));
        if let Some(output) = output {
            self.write_pipe(output, words.as_bytes());
        }
        if ends {
            let within = self.chance.below(300_000);
            self.later(within, Happening::Ends { pid, serial, ended: Ended::Exit(0) });
        }
    }

    fn lives(&mut self, pid: u32, serial: u64, is_wild: bool) {
        let prints_within = self.chance.below(1_000_000);
        self.later(prints_within, Happening::Prints { pid, serial, bytes: 200 });
        if !is_wild {
            return;
        }
        let (percents, spans) = ([10, 35, 6, 20, 8, 10], [500_000, 60_000_000, 20_000_000]);
        let drawn = percents.map(|percent| self.chance.percent(percent));
        let soon = spans.map(|span| self.chance.below(span));
        let status = i32::from(self.chance.one_in(3));
        let ended = Ended::Exit(status);
        let wishes = [
            (drawn[0], soon[0], Happening::Ends { pid, serial, ended }),
            (drawn[1], soon[1], Happening::Ends { pid, serial, ended }),
            (drawn[2], soon[2], Happening::GetsStuck { pid, serial }),
            (drawn[3], soon[0], Happening::Forks { pid, serial }),
            (drawn[4], soon[2], Happening::Hangs { pid, serial }),
            (drawn[5], soon[0], Happening::Prints { pid, serial, bytes: 40_000 }),
        ];
        for (_, within, what) in wishes.into_iter().filter(|(is_so, _, _)| *is_so) {
            self.later(within, what);
        }
    }

    pub(crate) fn says_ready(&mut self, pid: u32) {
        let process = self.processes.get_mut(&pid).expect("it lives");
        let serial = process.serial;
        let Some(name) = process.service.clone() else { return };
        let third = process.third;
        if process.is_hung || process.is_stuck {
            return self.later(1_000_000, Happening::IsReady { pid, serial });
        }
        process.is_ready = true;
        let (is_main, start) = (process.is_main, process.start);
        let Some(spec) = self.specs.spec(&name).cloned() else { return };
        if !is_main {
            let says = spec.ready.notify && spec.kind == Kind::Service;
            if says {
                self.says_ready_for(pid, &name, start);
            }
            return;
        }
        if spec.worker {
            self.reports_at_first(pid);
        }
        if spec.kind != Kind::Service {
            let status = i32::from(!self.is_calm && self.chance.percent(20));
            let within = self.chance.below(5000);
            return self.later(within, Happening::Ends { pid, serial, ended: Ended::Exit(status) });
        }
        if spec.ready.notify {
            self.told(|| format!("> process {pid}, {name}, says READY=1"));
            self.notifies(pid, "STATUS=well\nREADY=1");
        }
        if let Some(third) = third.filter(|_| spec.ready.newline) {
            self.told(|| format!("> process {pid}, {name}, says a newline"));
            self.write_pipe(third, b"\n");
        }
    }

    /// A child says that its service is ready, as systemd-notify does for a script.
    fn says_ready_for(&mut self, pid: u32, name: &ServiceName, start: u64) {
        let main = self.processes.values_mut().find(|process| {
            process.is_main && process.start == start && process.service.as_ref() == Some(name)
        });
        if let Some(main) = main.filter(|main| main.worker.is_none()) {
            main.is_ready = true;
            self.told(|| format!("> process {pid} says READY=1 for {name}"));
            self.notifies(pid, "READY=1");
        }
    }

    /// A child, which may outlive its parent, or say for it that it is ready.
    pub(crate) fn forks(&mut self, pid: u32) {
        let parent = &self.processes[&pid];
        if parent.is_stuck || parent.is_killed || self.processes.len() > 80 {
            return;
        }
        let (cgroup, service, start) =
            (parent.cgroup.clone(), parent.service.clone(), parent.start);
        let (output, serial_of_parent, group) = (parent.output, parent.serial, parent.group);
        let leads = self.chance.one_in(4);
        let is_orphan = self.chance.one_in(2);
        let child = Process {
            parent: if is_orphan { 1 } else { pid },
            group: if leads { 0 } else { group },
            cgroup,
            service,
            start,
            output,
            ..Process::orphan()
        };
        let child = self.enrol(child);
        let serial = self.last_serial;
        self.told(|| format!("> process {pid} forks {child}"));
        if self.chance.one_in(3) {
            self.later(500, Happening::IsReady { pid: child, serial });
        }
        let lives_for = self.chance.below(20_000_000);
        self.later(lives_for, Happening::Ends { pid: child, serial, ended: Ended::Exit(0) });
        if self.chance.one_in(8) {
            let within = self.chance.below(1_000_000);
            self.later(within, Happening::GetsStuck { pid: child, serial });
        }
        let again = self.chance.below(10_000_000);
        self.later(again, Happening::Forks { pid, serial: serial_of_parent });
    }

    pub(crate) fn prints(&mut self, pid: u32, bytes: u64) {
        let process = self.processes.get_mut(&pid).expect("it lives");
        let (serial, is_still) = (process.serial, process.is_stuck || process.is_hung);
        let Some(output) = process.output else { return };
        if is_still {
            return self.later(1_000_000, Happening::Prints { pid, serial, bytes });
        }
        let text = vec![b'.'; bytes as usize];
        let written = self.write_pipe(output, &text).unwrap_or(0) as u64;
        let is_blocked = written < bytes;
        let process = self.processes.get_mut(&pid).expect("it lives");
        if is_blocked != process.is_blocked {
            process.is_blocked = is_blocked;
            self.told(|| format!("> process {pid} blocks on its output: {is_blocked}"));
        }
        if is_blocked {
            return self.later(300_000, Happening::Prints { pid, serial, bytes: bytes - written });
        }
        let within = if self.is_calm { 60_000_000 } else { 8_000_000 };
        let within = self.chance.below(within);
        let more = if self.chance.one_in(6) { 30_000 } else { 300 };
        let bytes = 1 + self.chance.below(more);
        self.later(within, Happening::Prints { pid, serial, bytes });
    }

    pub(crate) fn gets_stuck(&mut self, pid: u32, is_stuck: bool) {
        let is_calm = self.is_calm;
        let process = self.processes.get_mut(&pid).expect("it lives");
        if is_stuck && is_calm {
            return;
        }
        self.tally.stuck += u64::from(is_stuck && !process.is_stuck);
        process.is_stuck = is_stuck;
        let (serial, is_killed) = (process.serial, process.is_killed);
        self.told(|| format!("> process {pid} is in D state: {is_stuck}"));
        if is_stuck {
            let within = self.chance.below(40_000_000);
            self.later(within, Happening::GetsLoose { pid, serial });
        } else if is_killed {
            let _ = self.signal(pid, Signal::KILL);
        }
    }

    pub(crate) fn hangs(&mut self, pid: u32) {
        // Who is looked at by nobody may hang for ever, and nothing would be wrong with PID 1.
        let name = self.processes[&pid].service.clone();
        let spec = name.and_then(|name| self.specs.spec(&name).cloned());
        let is_watched = spec.is_some_and(|spec| spec.health_check().is_some() || spec.worker);
        if is_watched && !self.is_calm {
            self.processes.get_mut(&pid).expect("it lives").is_hung = true;
            self.told(|| format!("> process {pid} hangs"));
        }
    }
}
