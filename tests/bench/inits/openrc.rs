// SPDX-License-Identifier: Apache-2.0
//! OpenRC's supervise-daemon, one for each service. OpenRC starts them from scripts; here a shell does,
//! and tini is PID 1, so that what is measured is the supervision and not OpenRC's own boot.

use anyhow::Result;
use kubermesh_tests::stage::Stage;
use rustix::process::Signal;

use super::{Init, names, signal};
use crate::tree::Tree;

pub(super) fn init(tree: &Tree) -> Init {
    Init {
        name: "openrc",
        title: format!("supervise-daemon of OpenRC {}", tree.version("openrc")),
        most: usize::MAX,
        has_cgroups: false,
        restarts: true,
        rests_after: super::AT_ONCE,
        idle_for: super::TEN_SECONDS,
        remark: "a process beside each service, started by a shell; tini is PID 1, so that its memory is tini's",
        set,
        command: |_| {
            &[
                "PATH=/usr/sbin:/usr/bin",
                "/usr/bin/tini-static",
                "-g",
                "--",
                "/busybox",
                "sh",
                "/start",
            ]
        },
        stop: |stage| signal(stage, Signal::TERM),
    }
}

fn set(stage: Stage, tree: &Tree, services: usize) -> Result<Stage> {
    let mut stage = tree.program(stage, "/usr/bin/tini-static")?;
    stage = tree.program(stage, "/usr/sbin/supervise-daemon")?;
    let mut start = "/busybox mkdir -p /run/openrc/daemons /run/openrc/options\n".to_owned();
    let mut stop = String::new();
    for name in names(services) {
        start.push_str(&format!(
            "RC_SVCNAME={name} /usr/sbin/supervise-daemon {name} --start --respawn-max 0 --pidfile /run/{name}.pid /runner -- {name}\n"
        ));
        stop.push_str(&format!("/busybox kill $(/busybox cat /run/{name}.pid)\n"));
    }
    start
        .push_str("trap '. /stop; exit' TERM\nwhile :; do /busybox sleep 100000 & wait $!; done\n");
    Ok(stage.file("/start", start, 0o755).file("/stop", stop, 0o644))
}
