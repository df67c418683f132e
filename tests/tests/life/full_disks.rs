// SPDX-License-Identifier: Apache-2.0
//! STATE and DATA fill up while the node runs, and are freed: nobody ends of it, and what was lost is told.

use anyhow::{Context, Result, ensure};
use kubermesh_tests::Node;

use super::{is_logged, recoveries, say, shell};

/// The node answers, says which disk is full, counts the lines that it could not keep, and forgets it afterwards.
pub(crate) fn full_disks_cost_lines_of_the_log_and_nothing_else(node: &Node) -> Result<()> {
    let (before, crashes, faults) = (node.services()?, recoveries(node)?, node.faults()?);
    let pod = node.start_time(node.beacon_pid()?)?;
    let lost = lost(node)?;
    for point in ["/state", "/var"] {
        fill(node, point).with_context(|| format!("fill {point}"))?;
    }
    // More than the log worker keeps in memory for a disk that takes nothing.
    say(node, &format!("yes {} | head -n 2000", "x".repeat(100)))?;
    node.wait_until("the full disk to be told", |node| {
        let told = |fault: &String| {
            fault.starts_with("log on STATE: cannot be written: ")
                && fault.contains("No space left")
        };
        Ok(node.faults()?.iter().any(told))
    })?;
    node.wait_until("the losses to be told", |node| Ok(self::lost(node)? > lost))?;
    // It asks every ten seconds, and would end pods for room.
    node.wait_until("kubelet to see it", |node| {
        let said = node.run(&["/usr/bin/kubermesh", "logs", "kubelet", "-n", "10000"])?;
        Ok(said.contains("pods ranked for eviction"))
    })?;
    node.pod_answers()?;
    crate::killed_service_comes_back_alone(node, "console")?;
    free(node)?;
    node.wait_until("nothing to be wrong any more", |node| Ok(node.faults()? == faults))?;
    say(node, "echo said on a disk with room")?;
    is_logged(node, "said on a disk with room")?;
    let mut after = node.services()?;
    // Killed above, on purpose.
    after.extend(before.get_key_value("console").map(|(name, one)| (name.clone(), one.clone())));
    ensure!(before == after, "services: {before:?} became {after:?}");
    ensure!(recoveries(node)? == crashes, "PID 1 crashed of a full disk");
    ensure!(node.start_time(node.beacon_pid()?)? == pod, "the pod was started anew");
    node.pod_answers()
}

fn lost(node: &Node) -> Result<u64> {
    let status = node.ask(&["status"])?;
    status["log"]["dropped"].as_u64().with_context(|| format!("no count of losses: {status}"))
}

/// In one piece but for the last MiB, whose blocks lie about; root may take what is kept for it too.
fn fill(node: &Node, point: &str) -> Result<()> {
    let script = format!(
        "cd {point} && size=$(( ($(stat -f -c %f .) - 256) * $(stat -f -c %S .) )) && \
         {{ fallocate -l $size {FILL} || :; dd if=/dev/zero of={FILL}-up bs=4k 2>&1; }}"
    );
    let answer = node.machine.agent().run(&["/usr/bin/busybox", "sh", "-c", &script])?;
    ensure!(answer.stdout.contains("No space left on device"), "there is room: {answer:?}");
    Ok(())
}

fn free(node: &Node) -> Result<()> {
    shell(node, &format!("rm /state/{FILL}* /var/{FILL}*")).map(drop)
}

const FILL: &str = "fill";
