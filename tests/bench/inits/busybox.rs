// SPDX-License-Identifier: Apache-2.0
//! BusyBox init: a respawn line for each service. It rests a second before each restart.

use anyhow::Result;
use kubermesh_tests::stage::Stage;
use rustix::process::Signal;

use super::{Init, names, signal};
use crate::tree::Tree;

pub(super) fn init(tree: &Tree) -> Init {
    Init {
        name: "busybox",
        title: format!("BusyBox init {}", tree.version("busybox-static")),
        most: usize::MAX,
        has_cgroups: false,
        restarts: true,
        rests_after: super::AT_ONCE,
        idle_for: super::TEN_SECONDS,
        remark: "static; always rests a second before a restart",
        set,
        command: |_| &["/sbin/init"],
        // SIGUSR2: all get TERM, a second later KILL; then it powers off.
        stop: |stage| signal(stage, Signal::USR2),
    }
}

fn set(stage: Stage, _: &Tree, services: usize) -> Result<Stage> {
    let lines: String = names(services).map(|name| format!("::respawn:/runner {name}\n")).collect();
    Ok(stage.link("/usr/sbin/init", "/busybox").file("/etc/inittab", lines, 0o644))
}
