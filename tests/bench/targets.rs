// SPDX-License-Identifier: Apache-2.0
//! What PID 1 is meant to reach, and, where it does not, why.

use crate::figures::{Figures, What, growth};

/// A row.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) limit: f64,
    pub(crate) unit: &'static str,
    /// Ours, from the figures.
    pub(crate) ours: fn(&Figures) -> Option<f64>,
    /// That of the others which tells the most, where there is one: which figure, with how many services.
    pub(crate) others: Option<(What, usize)>,
    /// Known reasons, for who reads that it was missed.
    pub(crate) why: &'static str,
}

const OURS: &str = "kubermesh";

#[rustfmt::skip]
pub(crate) const TARGETS: &[Target] = &[
    Target { name: "private memory of PID 1, 10 services", limit: 614.4, unit: "KiB",
        ours: |all| all.median(OURS, 10, What::Private), others: Some((What::AllPrivate, 10)), why: PRIVATE },
    Target { name: "private memory for each service more", limit: 1.0, unit: "KiB",
        ours: |all| growth(&all.curve(OURS, What::AllPrivate)).map(|growth| growth.each), others: None, why: EACH },
    Target { name: "start of 10 services", limit: 3.0, unit: "ms",
        ours: |all| all.median(OURS, 10, What::Start), others: Some((What::Start, 10)), why: START },
    Target { name: "start of 100 services", limit: 15.0, unit: "ms",
        ours: |all| all.median(OURS, 100, What::Start), others: Some((What::Start, 100)), why: START },
    Target { name: "start of 10 services, a cgroup each", limit: 10.0, unit: "ms",
        ours: |all| all.median(OURS, 10, What::Start), others: Some((What::Start, 10)), why: START },
    Target { name: "start of 100 services, a cgroup each", limit: 80.0, unit: "ms",
        ours: |all| all.median(OURS, 100, What::Start), others: Some((What::Start, 100)), why: START },
    Target { name: "restart, median of 100 services", limit: 0.7, unit: "ms",
        ours: |all| all.median(OURS, 100, What::Restart), others: Some((What::Restart, 100)), why: RESTART },
    Target { name: "restart, p99 of 100 services", limit: 5.0, unit: "ms",
        ours: |all| all.p99(OURS, 100, What::Restart), others: None, why: LATE },
    Target { name: "20,000 zombies", limit: 80.0, unit: "ms",
        ours: |all| all.median(OURS, 10, What::Zombies), others: Some((What::Zombies, 10)), why: ZOMBIES },
    Target { name: "the longest answer while they are reaped", limit: 20.0, unit: "ms",
        ours: |all| all.median(OURS, 10, What::Answer), others: None, why: ANSWER },
    Target { name: "wakeups in an idle second", limit: 0.0, unit: "",
        ours: |all| all.median(OURS, 10, What::Wakeups), others: Some((What::Wakeups, 10)), why: WAKEUPS },
    Target { name: "crash of PID 1 to an answer", limit: 2.0, unit: "ms",
        ours: |all| all.median(OURS, 10, What::Recovery), others: None, why: RECOVERY },
    Target { name: "the program", limit: 1000.0, unit: "KB",
        ours: |_| crate::inits::size_of_ours().ok().map(|bytes| bytes as f64 / 1e3), others: None, why: SIZE },
];

const PRIVATE: &str = "most of it is the program itself: pages of its text, which the kernel can drop at any time; what no file backs is in the column beside";
const EACH: &str = "what its file says, its state, its names, and a share of the pages of the program that more services touch";
const START: &str = "no service of ours is without a cgroup, which the rows below count in, and the house is made before the first: file systems, folders, settings";
const RESTART: &str = "traced, it is the kernel's end of the old process and its waking of PID 1, 190 µs; PID 1 until fork, 130 µs, which writes the end down and looks \
    for leftovers in the cgroup; fork, 90 µs; the new process's start on another processor, 60 µs; what it sets before its exec, 80 µs; exec, 110 µs; the service until it stamps, 110 µs. \
    A child that shares PID 1's memory until its exec, as of vfork(2), saves 50 to 80 µs, and PID 1 would wait for it: a frozen cgroup or a disk that hangs would hold it. \
    Where the target was set, s6 took 0.97 ms and dinit 1.1";
const LATE: &str = "with other work on the machine a few of some tens of restarts wait 10 ms, on a quiet one none: not traced; likely for the kernel's \
    cgroup_mutex, which a birth in a cgroup needs (docs/decisions/0011), while other programs move processes";
const ZOMBIES: &str = "the kernel's own work for each is nearly all of it, as the others' figures show: a loop of waitid(2) alone took 145 to 230 ms on the machine \
    where these figures were first taken, 73 where the target was set. 64 are reaped in a turn, so that others are heard meanwhile";
const ANSWER: &str = "it is the kernel's: while it hands the children of the one that died to PID 1 it holds the lock that each fork, wait and exit needs, \
    and keeps whoever asks for a child's end meanwhile, PID 1 among them. How long it kept a bystander is in the column `lock`";
const SIZE: &str = "docs/decisions/0008 says what is in it";
const WAKEUPS: &str = "the watchdog's tick, one in 20 s";
const RECOVERY: &str = "it is executed again, reads its record, looks whether each child is still there, and answers before it looks at the devices anew. \
    Traced, a quarter of it is execve(2), and half is the kernel's too: maps and pages for what is read and thought anew. \
    dlmalloc instead of musl's allocator keeps the maps and won nothing, for 100 KiB more";
