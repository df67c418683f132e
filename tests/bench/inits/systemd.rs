// SPDX-License-Identifier: Apache-2.0
//! systemd with the services' units alone: no journald, no udevd, no logind.

use anyhow::Result;
use kubermesh_tests::stage::Stage;

use super::{Init, names};
use crate::tree::Tree;

pub(super) fn init(tree: &Tree) -> Init {
    Init {
        name: "systemd",
        title: format!("systemd {}", tree.version("systemd")),
        most: usize::MAX,
        has_cgroups: true,
        restarts: true,
        rests_after: super::AT_ONCE,
        idle_for: super::TEN_SECONDS,
        remark: "a cgroup for each service; a target with its services alone",
        set,
        command: |_| &["container=stage", "SYSTEMD_UNIT_PATH=/units", "/busybox", "sh", "/start"],
        // SIGRTMIN+14, which is 48 for glibc: power off at once, systemd-shutdown ends all.
        stop: |stage| {
            let command = format!("kill -48 {}", stage.pid());
            let status = std::process::Command::new("sh").args(["-c", &command]).status()?;
            anyhow::ensure!(status.success(), "kill refuses");
            Ok(())
        },
    }
}

/// systemd wants a /dev that is mounted, and may not mount one itself.
const START: &str = "/busybox mount --rbind /dev /dev\n\
    exec /usr/lib/systemd/systemd --system --unit=bench.target --log-target=null --show-status=0\n";

fn set(stage: Stage, tree: &Tree, services: usize) -> Result<Stage> {
    let mut stage = tree.program(stage, "/usr/lib/systemd/systemd")?;
    stage = tree.program(stage, "/usr/lib/systemd/systemd-executor")?;
    stage = tree.program(stage, "/usr/lib/systemd/systemd-shutdown")?;
    let mut wants = String::new();
    for name in names(services) {
        let unit = format!(
            "[Unit]\nDefaultDependencies=no\nStartLimitIntervalSec=0\n[Service]\nType=exec\nExecStart=/runner {name}\n\
             Restart=always\nRestartSec=0\nStandardInput=null\nStandardOutput=null\nStandardError=null\n"
        );
        stage = stage.file(format!("/units/{name}.service"), unit, 0o644);
        wants.push_str(&format!("Wants={name}.service\n"));
    }
    let target = format!("[Unit]\nDefaultDependencies=no\n{wants}");
    Ok(stage
        .file("/start", START, 0o755)
        .file("/units/bench.target", target, 0o644)
        .file("/etc/machine-id", "0123456789abcdef0123456789abcdef\n", 0o644)
        .file("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n", 0o644)
        .file("/etc/group", "root:x:0:\n", 0o644))
}
