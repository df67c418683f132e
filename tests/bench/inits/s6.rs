// SPDX-License-Identifier: Apache-2.0
//! s6: s6-svscan as PID 1, an s6-supervise for each service. It is told readiness, or s6-supervise
//! would wait a second before each restart.

use anyhow::Result;
use kubermesh_tests::stage::Stage;
use rustix::process::Signal;

use super::{Init, names, signal};
use crate::tree::Tree;

pub(super) fn init(tree: &Tree) -> Init {
    Init {
        name: "s6",
        title: format!("s6 {}", tree.version("s6")),
        most: usize::MAX,
        has_cgroups: false,
        restarts: true,
        rests_after: super::AT_ONCE,
        idle_for: super::TEN_SECONDS,
        remark: "a process beside each service",
        set,
        // Its own limit is 500 services, and it takes memory for as many as it is told.
        command: |services| match services {
            ..=500 => &["PATH=/usr/bin", "/usr/bin/s6-svscan", "/scan"],
            _ => &["PATH=/usr/bin", "/usr/bin/s6-svscan", "-c", "1000", "/scan"],
        },
        stop: |stage| signal(stage, Signal::TERM),
    }
}

fn set(stage: Stage, tree: &Tree, services: usize) -> Result<Stage> {
    let mut stage = tree.program(stage, "/usr/bin/s6-svscan")?;
    stage = tree.program(stage, "/usr/bin/s6-supervise")?;
    // What s6-svscan becomes in the end.
    stage =
        stage.file("/scan/.s6-svscan/finish", "#!/busybox sh\nexec /busybox sleep 1000\n", 0o755);
    for name in names(services) {
        let run = format!("#!/busybox sh\nexec /runner {name} newline\n");
        stage = stage.file(format!("/scan/{name}/run"), run, 0o755);
        stage = stage.file(format!("/scan/{name}/notification-fd"), "3\n", 0o644);
    }
    Ok(stage)
}
