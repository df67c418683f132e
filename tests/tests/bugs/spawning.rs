// SPDX-License-Identifier: Apache-2.0
//! What a service is born with: nothing of PID 1's own.

use anyhow::Result;
use kubermesh_tests::stage::Stage;

use super::plays;

#[test]
fn no_service_inherits_a_signal_mask_a_descriptor_or_a_umask() -> Result<()> {
    // Descriptors that PID 1 holds for others must not reach this one: some are there already.
    let mut stage = Stage::new()?;
    for number in 0..20 {
        stage = stage.service(&format!("a{number}"), &plays("stay", ""));
    }
    let scored = "[resources]\noom_score = 7\n";
    let stage = stage.service("z", &plays("report /run/report stay", scored)).start_node()?;
    stage.wait_until("the report", |stage| Ok(stage.path("/run/report").exists()))?;
    let report = stage.read("/run/report")?;
    let lines: Vec<&str> = report.lines().collect();
    for wanted in [
        "SigBlk:\t0000000000000000",
        // std ignores SIGPIPE in every Rust program of its own accord.
        "SigIgn:\t0000000000001000",
        "Umask:\t0022",
        "NoNewPrivs:\t0",
        "Seccomp:\t0",
        "oom_score_adj 7",
        "leads its session true",
        "folder /",
        "env HOME=/root",
        "env KUBERMESH_SERVICE=z",
        "env NOTIFY_SOCKET=/run/kubermesh/notify",
        "env PATH=/usr/sbin:/usr/bin",
        "fd 0 /dev/null",
    ] {
        assert!(lines.contains(&wanted), "{wanted} is not in\n{report}");
    }
    assert!(report.contains("0::/system/z"), "{report}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("env ")).count(), 4, "{report}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("fd ")).count(), 3, "{report}");
    Ok(())
}
