// SPDX-License-Identifier: Apache-2.0
//! The inits, a file each: what lies on its stage for so many services, its command, how it is told
//! to stop all. Each restarts always, at once or as soon as it can be told to.

mod busybox;
mod dinit;
mod kubermesh;
mod openrc;
mod runit;
mod s6;
mod systemd;
mod tini;

pub(crate) use kubermesh::size as size_of_ours;

use std::time::Duration;

use anyhow::Result;
use kubermesh_tests::stage::{Running, Stage};
use rustix::process::Signal;

use crate::tree::Tree;

/// An init.
pub(crate) struct Init {
    pub(crate) name: &'static str,
    /// With its version.
    pub(crate) title: String,
    /// So many services at most.
    pub(crate) most: usize,
    /// It gives each service a cgroup.
    pub(crate) has_cgroups: bool,
    /// It starts a service again that has ended.
    pub(crate) restarts: bool,
    /// So long after its start it is at rest, and its memory is looked at.
    pub(crate) rests_after: Duration,
    /// So long it is looked at while it is idle.
    pub(crate) idle_for: Duration,
    /// What to know about its figures.
    pub(crate) remark: &'static str,
    /// Sets its stage.
    set: fn(Stage, &Tree, usize) -> Result<Stage>,
    /// Its command line for so many services, after the names and values of its environment.
    command: fn(usize) -> &'static [&'static str],
    /// Has it stop all.
    pub(crate) stop: fn(&Running) -> Result<()>,
}

/// Most inits are at rest as soon as their services run.
const AT_ONCE: Duration = Duration::from_millis(2500);

/// Others have nothing that comes more seldom.
const TEN_SECONDS: Duration = Duration::from_secs(10);

/// All that can be had.
pub(crate) fn all(tree: &Tree) -> Result<Vec<Init>> {
    let mut all = vec![
        kubermesh::init()?,
        s6::init(tree),
        runit::init(tree),
        openrc::init(tree),
        busybox::init(tree),
        systemd::init(tree),
        tini::init(tree),
    ];
    all.extend(dinit::init());
    Ok(all)
}

/// Those that cannot be had, and why.
pub(crate) const ABSENT: &[(&str, &str)] = &[
    (
        "dinit",
        "Debian 12, 13, testing and unstable have no package of it; `KUBERMESH_BENCH_DINIT=/path/to/a/static/dinit make bench-init` measures one that was built",
    ),
    (
        "s6-linux-init",
        "Debian 12, 13, testing and unstable have no package of it; s6-svscan itself is PID 1 here, as s6-linux-init would have it in the end",
    ),
];

impl Init {
    pub(crate) fn is_ours(&self) -> bool {
        self.name == "kubermesh"
    }

    /// Starts it with so many services; its zero is stamped.
    pub(crate) fn start(&self, tree: &Tree, services: usize) -> Result<Running> {
        let stage = (self.set)(tree.stage()?, tree, services)?;
        let mut command = vec!["/runner", "zero"];
        command.extend((self.command)(services));
        stage.start(&command)
    }
}

fn names(services: usize) -> impl Iterator<Item = String> {
    (1..=services).map(|number| format!("svc{number:04}"))
}

/// The signal that tells it.
fn signal(stage: &Running, signal: Signal) -> Result<()> {
    stage.signal(1, signal)
}
