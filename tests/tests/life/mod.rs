// SPDX-License-Identifier: Apache-2.0
//! What a node that has come up is put through while it runs, one file a harm: another PID 1, full disks, no memory.

pub(crate) mod another_init;
pub(crate) mod full_disks;
pub(crate) mod memory;

use anyhow::{Result, ensure};
use kubermesh_tests::Node;

fn shell(node: &Node, script: &str) -> Result<String> {
    node.run(&["/usr/bin/busybox", "sh", "-c", script])
}

/// These lines on the output of the agent, which is a service: the pipe that PID 1 made when it started it.
fn say(node: &Node, script: &str) -> Result<()> {
    let agent = node.service("agent")?.pid;
    shell(node, &format!("{{ {script}; }} > /proc/{agent}/fd/1")).map(drop)
}

/// They reach the log, by way of that pipe.
fn is_logged(node: &Node, words: &str) -> Result<()> {
    node.wait_until(&format!("the log has {words:?}"), |node| {
        let said = node.run(&["/usr/bin/kubermesh", "logs", "agent", "-n", "10000"])?;
        Ok(said.lines().any(|line| line.ends_with(words)))
    })
}

/// What nobody may lose by a harm that is not theirs.
fn recoveries(node: &Node) -> Result<u64> {
    let status = node.ask(&["status"])?;
    let told = status["recoveries"].as_u64();
    ensure!(told.is_some(), "no recoveries: {status}");
    Ok(told.unwrap_or_default())
}
