// SPDX-License-Identifier: Apache-2.0
//! dinit, where somebody has built one: Debian has no package. No delay and no limit of restarts.

use std::ffi::OsStr;
use std::process::Command;

use anyhow::{Context, Result};
use kubermesh_tests::stage::Stage;
use rustix::process::Signal;

use super::{Init, names, signal};
use crate::tree::Tree;

/// Names a static dinit.
const VARIABLE: &str = "KUBERMESH_BENCH_DINIT";

pub(super) fn init() -> Option<Init> {
    let program = std::env::var_os(VARIABLE)?;
    Some(Init {
        name: "dinit",
        title: format!("dinit {}", version(&program).unwrap_or_default()),
        most: usize::MAX,
        has_cgroups: false,
        restarts: true,
        rests_after: super::AT_ONCE,
        idle_for: super::TEN_SECONDS,
        remark: "built by hand with its own settings and -static (docs/decisions/0015): Debian 12, 13, testing and unstable have no package of it",
        set,
        command: |_| {
            &["/dinit", "--container", "--system", "-q", "-d", "/dinit.d", "-p", "/dinitctl"]
        },
        stop: |stage| signal(stage, Signal::TERM),
    })
}

/// As it says itself: `Dinit version 0.19.4.`
fn version(program: &OsStr) -> Option<String> {
    let said = Command::new(program).arg("--version").output().ok()?.stdout;
    let said = String::from_utf8_lossy(&said).into_owned();
    said.lines().next()?.rsplit(' ').next().map(|word| word.trim_end_matches('.').to_owned())
}

fn set(stage: Stage, _: &Tree, services: usize) -> Result<Stage> {
    let program = std::env::var_os(VARIABLE).context(VARIABLE)?;
    let mut stage = stage.program(program, "/dinit");
    let mut boot = "type = internal\n".to_owned();
    for name in names(services) {
        boot.push_str(&format!("waits-for: {name}\n"));
        let text = format!(
            "type = process\ncommand = /runner {name}\nrestart = true\nrestart-delay = 0\n\
             restart-limit-interval = 0\nrestart-limit-count = 0\nsmooth-recovery = true\n"
        );
        stage = stage.file(format!("/dinit.d/{name}"), text, 0o644);
    }
    Ok(stage.file("/dinit.d/boot", boot, 0o644))
}
