// SPDX-License-Identifier: Apache-2.0
//! What PID 1 is meant to reach, and, where it does not, why.

use crate::figures::{Figures, What, growth};

/// A row.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) limit: f64,
    pub(crate) unit: &'static str,
    /// Of ours, and of the others.
    pub(crate) figure: Figure,
    /// Whom ours is put beside.
    pub(crate) beside: Beside,
    /// Known reasons, for who reads that it was missed.
    pub(crate) why: &'static str,
}

/// A figure of any init, with so many services.
#[derive(Clone, Copy)]
pub(crate) enum Figure {
    Median(What, usize),
    P99(What, usize),
    /// For each service more.
    Each(What),
    /// KB of our program.
    Program,
}

/// Who of the others does the same.
#[derive(Clone, Copy)]
pub(crate) enum Beside {
    All,
    /// Those that give each service a cgroup.
    WithCgroups,
    Nobody,
}

impl Figure {
    pub(crate) fn of(self, all: &Figures, init: &str) -> Option<f64> {
        match self {
            Self::Median(what, services) => all.median(init, services, what),
            Self::P99(what, services) => all.p99(init, services, what),
            Self::Each(what) => growth(&all.curve(init, what)).map(|growth| growth.each),
            Self::Program => crate::inits::size_of_ours().ok().map(|bytes| bytes as f64 / 1e3),
        }
    }
}

use Beside::{All, Nobody, WithCgroups};
use Figure::{Each, Median, P99, Program};

#[rustfmt::skip]
pub(crate) const TARGETS: &[Target] = &[
    Target { name: "private memory of all that supervises, 10 services", limit: 614.4, unit: "KiB",
        figure: Median(What::AllPrivate, 10), beside: All, why: PRIVATE },
    Target { name: "private memory of PID 1 alone, 10 services", limit: 614.4, unit: "KiB",
        figure: Median(What::Private, 10), beside: All, why: PRIVATE },
    Target { name: "private memory for each service more", limit: 1.0, unit: "KiB",
        figure: Each(What::AllPrivate), beside: All, why: EACH },
    Target { name: "start of 10 services", limit: 3.0, unit: "ms",
        figure: Median(What::Start, 10), beside: All, why: START },
    Target { name: "start of 100 services", limit: 15.0, unit: "ms",
        figure: Median(What::Start, 100), beside: All, why: START },
    Target { name: "start of 10 services, a cgroup each", limit: 10.0, unit: "ms",
        figure: Median(What::Start, 10), beside: WithCgroups, why: START },
    Target { name: "start of 100 services, a cgroup each", limit: 80.0, unit: "ms",
        figure: Median(What::Start, 100), beside: WithCgroups, why: START },
    Target { name: "restart, median of 100 services", limit: 0.7, unit: "ms",
        figure: Median(What::Restart, 100), beside: All, why: RESTART },
    Target { name: "restart, p99 of 100 services", limit: 5.0, unit: "ms",
        figure: P99(What::Restart, 100), beside: All, why: LATE },
    Target { name: "20,000 zombies", limit: 80.0, unit: "ms",
        figure: Median(What::Zombies, 10), beside: All, why: ZOMBIES },
    Target { name: "20,000 zombies, each of a process group of its own", limit: 80.0, unit: "ms",
        figure: Median(What::ZombiesApart, 10), beside: All, why: APART },
    Target { name: "the longest answer while they are reaped", limit: 20.0, unit: "ms",
        figure: Median(What::Answer, 10), beside: Nobody, why: ANSWER },
    // Three or four ticks in the minute that is looked at.
    Target { name: "context switches in an idle second: the watchdog's tick, one in 20 s, and nothing else", limit: 0.07, unit: "",
        figure: Median(What::Wakeups, 10), beside: All, why: WAKEUPS },
    Target { name: "SIGSEGV of PID 1 to an answer", limit: 2.0, unit: "ms",
        figure: Median(What::Recovery, 10), beside: Nobody, why: RECOVERY },
    Target { name: "panic of PID 1 to an answer", limit: 2.0, unit: "ms",
        figure: Median(What::Panic, 10), beside: Nobody, why: RECOVERY },
    Target { name: "the program", limit: 1000.0, unit: "KB",
        figure: Program, beside: Nobody, why: SIZE },
];

const PRIVATE: &str = "most of it is the program itself: pages of its text, which the kernel can drop at any time; what no file backs is in the column beside";
const EACH: &str = "what its file says, its state, its names, and a share of the pages of the program that more services touch";
const START: &str = "no service of ours is without a cgroup, which the rows below count in, and the house is made before the first: file systems, folders, settings";
const RESTART: &str = "traced where it took 0.8 ms, it is the kernel's end of the old process and its waking of PID 1, 190 µs; PID 1 until fork, 130 µs, which writes the end down and looks \
    for leftovers in the cgroup; fork, 90 µs; the new process's start on another processor, 60 µs; what it sets before its exec, 80 µs; exec, 110 µs; the service until it stamps, 110 µs. \
    A child that shares PID 1's memory until its exec, as of vfork(2), saves 50 to 80 µs, and PID 1 would wait for it: a frozen cgroup or a disk that hangs would hold it. \
    Where the target was set, s6 took 0.97 ms and dinit 1.1";
const LATE: &str = "with other work on the machine a few of some tens of restarts wait 10 ms, on a quiet one none: not traced; likely for the kernel's \
    cgroup_mutex, which a birth in a cgroup needs (docs/decisions/0011), while other programs move processes";
const ZOMBIES: &str = "the kernel's own work for each is nearly all of it, as the others' figures show: a loop of waitid(2) alone took 145 to 230 ms on the machine \
    where these figures were first taken, 73 where the target was set. 64 are reaped in a turn, so that others are heard meanwhile";
const APART: &str = "three calls for each where others make one or two: who ended is looked at before it is taken (a main process's end is written down first), its group is \
    asked, then it is reaped; fellows of one group are reaped with one call each";
const ANSWER: &str = "it is the kernel's: while it hands the children of the one that died to PID 1 it holds the lock that each fork, wait and exit needs, \
    and keeps whoever asks for a child's end meanwhile, PID 1 among them. How long it kept a bystander is in the column `lock`";
const SIZE: &str = "docs/decisions/0008 says what is in it";
const WAKEUPS: &str = "something else than the tick wakes it";
const RECOVERY: &str = "it is executed again, reads its record, looks whether each child is still there, and answers before it looks at the devices anew. \
    Traced, a quarter of it is execve(2), and half is the kernel's too: maps and pages for what is read and thought anew. \
    dlmalloc instead of musl's allocator keeps the maps and won nothing, for 100 KiB more";
