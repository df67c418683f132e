// SPDX-License-Identifier: Apache-2.0
//! Ours: the program that ships, with all that a node has. Each service has its cgroup, its output
//! kept, and its place in the record.

use std::time::Duration;

use anyhow::Result;
use kubermesh_tests::stage::{Stage, node_program};
use rustix::process::Signal;

use super::{Init, names, signal};
use crate::tree::Tree;

/// Bytes of the program.
pub(crate) fn size() -> Result<u64> {
    Ok(std::fs::metadata(node_program("init")?)?.len())
}

pub(super) fn init() -> Result<Init> {
    let size = size()?;
    Ok(Init {
        name: "kubermesh",
        title: format!("Kubermesh {} ({} KB)", env!("CARGO_PKG_VERSION"), size / 1000),
        most: usize::MAX,
        has_cgroups: true,
        restarts: true,
        // Past a tick of its watchdog, at which it gives back the pages of its program.
        rests_after: Duration::from_secs(21),
        // Three ticks of its watchdog.
        idle_for: Duration::from_secs(60),
        remark: "static; a cgroup for each service; its start includes making the house: file systems, folders, settings; its memory is that after a tick of its watchdog, one in 20 s",
        set,
        command: |_| &["/usr/lib/kubermesh/init", "--house"],
        // SIGPWR: the way down, to power off.
        stop: |stage| signal(stage, Signal::POWER),
    })
}

fn set(stage: Stage, _: &Tree, services: usize) -> Result<Stage> {
    let mut stage = stage
        .program(node_program("init")?, "/usr/lib/kubermesh/init")
        // It shall panic where it is asked to, and go on however often.
        .kernel_command_line("kubermesh.test kubermesh.crashes=1000000")
        .file("/usr/lib/kubermesh/etc/hostname", "stage\n", 0o644)
        .file("/usr/lib/os-release", "NAME=Stage\n", 0o644);
    for name in names(services) {
        let text = format!("command = [\"/runner\", \"{name}\"]\nrestart.rests = [\"0s\"]\n");
        stage = stage.service(&name, &text);
    }
    Ok(stage)
}
