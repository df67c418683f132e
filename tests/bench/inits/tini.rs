// SPDX-License-Identifier: Apache-2.0
//! tini: one service, which is not started again.

use anyhow::Result;
use kubermesh_tests::stage::Stage;
use rustix::process::Signal;

use super::{Init, signal};
use crate::tree::Tree;

pub(super) fn init(tree: &Tree) -> Init {
    Init {
        name: "tini",
        title: format!("tini {}", tree.version("tini")),
        most: 1,
        has_cgroups: false,
        restarts: false,
        rests_after: super::AT_ONCE,
        idle_for: super::TEN_SECONDS,
        remark: "one service, which is not started again; its figures stand in the column of 1",
        set: |stage: Stage, tree: &Tree, _| -> Result<Stage> {
            tree.program(stage, "/usr/bin/tini-static")
        },
        command: |_| &["/usr/bin/tini-static", "--", "/runner", "svc0001"],
        stop: |stage| signal(stage, Signal::TERM),
    }
}
