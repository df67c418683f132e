// SPDX-License-Identifier: Apache-2.0
//! Pods eat more memory than they may: the kernel ends them, and nobody else.

use anyhow::{Context, Result, ensure};
use kubermesh_tests::Node;

use super::{recoveries, shell};

/// Where pods are, and where who runs them is.
const PLACES: [&str; 2] = ["kubepods", "podruntime"];

/// Those who eat are ended, each of them; PID 1, containerd, kubelet and the pod beside them live on.
pub(crate) fn who_eats_memory_is_ended_alone(node: &Node) -> Result<()> {
    let (before, crashes, faults) = (node.services()?, recoveries(node)?, node.faults()?);
    let pod = node.start_time(node.beacon_pid()?)?;
    for place in PLACES {
        eaters_end(node, place).with_context(|| format!("eaters in {place}"))?;
    }
    node.pod_answers()?;
    let after = node.services()?;
    ensure!(before == after, "services: {before:?} became {after:?}");
    ensure!(recoveries(node)? == crashes, "PID 1 crashed of somebody's hunger");
    ensure!(node.faults()? == faults, "faults: {:?}", node.faults()?);
    ensure!(node.start_time(node.beacon_pid()?)? == pod, "the pod was started anew");
    Ok(())
}

const EATERS: u64 = 8;

/// Together they may have 32 MiB, and each wants eight times that.
fn eaters_end(node: &Node, place: &str) -> Result<()> {
    let group = format!("/sys/fs/cgroup/{place}/eaters");
    let eat = "echo 0 > cgroup.procs; echo 1000 > /proc/self/oom_score_adj; \
               exec dd if=/dev/zero of=/dev/null bs=256M count=1";
    let script = format!(
        "mkdir {group} && cd {group} && echo 32M > memory.max && \
         for each in $(seq {EATERS}); do sh -c '{eat}' & all=\"$all $!\"; done; \
         for pid in $all; do wait $pid; echo $?; done"
    );
    let ends = shell(node, &script)?;
    // 128 and SIGKILL.
    ensure!(ends.lines().all(|end| end == "137"), "they ended by themselves: {ends}");
    let events = node.machine.agent().read_text(&format!("{group}/memory.events"))?;
    let killed = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
    ensure!(killed == Some(&EATERS.to_string()), "{EATERS} ate, the kernel says:\n{events}");
    shell(node, &format!("rmdir {group}")).map(drop)
}
