// SPDX-License-Identifier: Apache-2.0
//! runit as it is meant to be used: runit is PID 1, its stage 2 is runsvdir, a runsv for each service.

use anyhow::Result;
use kubermesh_tests::stage::Stage;
use rustix::process::Signal;

use super::{Init, names, signal};
use crate::tree::Tree;

pub(super) fn init(tree: &Tree) -> Init {
    Init {
        name: "runit",
        title: format!("runit {}", tree.version("runit")),
        most: usize::MAX,
        has_cgroups: false,
        restarts: true,
        rests_after: super::AT_ONCE,
        idle_for: super::TEN_SECONDS,
        remark: "a process beside each service; runsvdir looks every 5 s, and waits one when its folder has just changed",
        set,
        command: |_| &["PATH=/usr/bin", "/usr/sbin/runit"],
        // SIGCONT: it looks at /etc/runit/stopit, and ends stage 2; stage 3 stops the services.
        stop: |stage| signal(stage, Signal::CONT),
    }
}

fn set(stage: Stage, tree: &Tree, services: usize) -> Result<Stage> {
    let mut stage = tree.program(stage, "/usr/sbin/runit")?;
    for program in ["/usr/bin/runsvdir", "/usr/bin/runsv", "/usr/bin/sv"] {
        stage = tree.program(stage, program)?;
    }
    stage = stage
        .file("/etc/runit/1", "#!/busybox sh\nexit 0\n", 0o755)
        .file("/etc/runit/2", "#!/busybox sh\nexec /usr/bin/runsvdir -P /sv\n", 0o755)
        .file("/etc/runit/3", "#!/busybox sh\nexec /usr/bin/sv -w 60 force-stop /sv/*\n", 0o755)
        .file("/etc/runit/stopit", "", 0o100)
        .file("/sv/.keep", "", 0o644);
    for name in names(services) {
        let run = format!("#!/busybox sh\nexec /runner {name}\n");
        stage = stage.file(format!("/sv/{name}/run"), run, 0o755);
    }
    Ok(stage)
}
