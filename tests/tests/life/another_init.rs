// SPDX-License-Identifier: Apache-2.0
//! PID 1 becomes another program while the node runs: the node does not notice, nor does its watchdog.

use anyhow::{Context, Result, ensure};
use kubermesh_tests::{Node, soon};

use super::{is_logged, recoveries, say, shell};

/// The same program again: what is tried is the way over, not another version.
const INIT: &str = "/usr/lib/kubermesh/init";

/// Pid, starts, pipes and channels are as before; the watchdog is fed.
pub(crate) fn another_init_takes_over_and_nobody_notices(node: &Node) -> Result<()> {
    let (before, crashes, faults) = (node.services()?, recoveries(node)?, node.faults()?);
    watch_the_watchdog(node)?;
    let version = node.ask(&["status"])?["version"].as_str().context("no version")?.to_owned();
    let said = node.run(&["/usr/bin/kubermesh", "upgrade-init", INIT])?;
    ensure!(said == format!("PID 1 is init {version} now, its services live on\n"), "{said}");
    for words in ["another init has rehearsed and takes over", "this init has answered and stays"] {
        node.machine.serial().wait(words, soon())?;
        let ring = node.kernel_ring()?;
        ensure!(
            ring.matches(words).count() == 1,
            "not once in the kernel's log: {words:?}\n{ring}"
        );
    }
    let line = node.machine.agent().read_text("/proc/1/cmdline")?;
    ensure!(line.contains("--take-over"), "PID 1 was not executed anew: {line:?}");
    let after = node.services()?;
    ensure!(before == after, "services: {before:?} became {after:?}");
    ensure!(recoveries(node)? == crashes, "an upgrade counts as a recovery");
    ensure!(node.faults()? == faults, "faults: {:?}", node.faults()?);
    is_fed(node)?;
    say(node, "echo said to another init")?;
    is_logged(node, "said to another init")?;
    workers_go_on(node)
}

/// net tells the log of a bird that died; PID 1 asks probe over its channel whether the next one answers.
fn workers_go_on(node: &Node) -> Result<()> {
    let lines = |node: &Node| -> Result<usize> {
        Ok(node.run(&["/usr/bin/kubermesh", "logs", "net", "-n", "10000"])?.lines().count())
    };
    let before = lines(node)?;
    crate::killed_service_comes_back_alone(node, "bird")?;
    node.wait_until("net's word of it in the log", |node| Ok(lines(node)? > before))
}

const TRACE: &str = "/run/trace";

/// The kernel's own record of what is done to a watchdog: include/trace/events/watchdog.h.
fn watch_the_watchdog(node: &Node) -> Result<()> {
    let events = format!("{TRACE}/events/watchdog/enable");
    let mount = format!("mkdir -p {TRACE} && mount -t tracefs tracefs {TRACE}");
    shell(node, &format!("{mount} && echo 1 > {events}")).map(drop)
}

/// It bites after a minute without food, so food by the new program is what keeps the machine on.
fn is_fed(node: &Node) -> Result<()> {
    let held = shell(node, "ls -l /proc/1/fd")?;
    let dogs = held.lines().filter(|line| line.ends_with(" -> /dev/watchdog")).count();
    ensure!(dogs == 1, "PID 1 holds {dogs} watchdogs:\n{held}");
    let state = shell(node, "cd /sys/class/watchdog/watchdog0 && cat state timeout")?;
    ensure!(state == "active\n60\n", "the watchdog is {state:?}");
    node.wait_until("the new program feeds the watchdog", |node| {
        let trace = node.machine.agent().read_text(&format!("{TRACE}/trace"))?;
        ensure!(!trace.contains("watchdog_stop:"), "the watchdog was stopped:\n{trace}");
        // Armed anew by the program that takes over, which is food once; then comes its first tick.
        let own = trace.split_once("watchdog_set_timeout:").map_or("", |(_, own)| own);
        Ok(own.matches("watchdog_ping:").count() > 1)
    })?;
    let end = format!("echo 0 > {TRACE}/events/watchdog/enable; umount {TRACE}; rmdir {TRACE}");
    shell(node, &end).map(drop)
}
