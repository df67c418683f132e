// SPDX-License-Identifier: Apache-2.0
//! One node alone on the desk: from the stick to its pod, and what happens when parts of it die.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may stop where it stands"
)]

mod life;

use anyhow::{Context, Result, ensure};
use kubermesh_qemu::Recipe;
use kubermesh_tests::{Node, Service, house, privileges, soon, test_stick};
use life::{another_init, full_disks, memory};
use serde_json::Value;

/// The services that must come back by themselves, each killed in turn.
const KILLED: [&str; 8] =
    ["light", "console", "probe", "net", "bird", "log", "kubelet", "containerd"];

#[test]
fn a_node_comes_up_from_the_stick_and_outlives_the_death_of_each_part() -> Result<()> {
    let machine = Recipe::new("life")
        .stick(test_stick()?)
        .agent(true)
        .watchdog(true)
        .cmdline("kubermesh.test")
        .boot()?;
    let node = Node { machine };
    println!("isolated: {}", node.wait_pod()?);

    house::stands(&node)?;
    the_serial_port_shows_each_status_once(&node)?;
    node.pod_answers()?;
    STATE_AND_DATA.iter().try_for_each(|(device, point)| is_mounted(&node, device, point))?;
    for name in KILLED {
        killed_service_comes_back_alone(&node, name)
            .with_context(|| format!("SIGKILL of {name}"))?;
    }
    pid_1_recovers_from_its_own_crash(&node)?;
    another_init::another_init_takes_over_and_nobody_notices(&node)?;
    full_disks::full_disks_cost_lines_of_the_log_and_nothing_else(&node)?;
    a_restart_of_containerd_leaves_the_pod_alone(&node)?;
    the_log_has_what_was_said(&node)?;
    privileges::none_was_refused_a_call(&node)?;
    privileges::are_as_the_page_says(&node)?;
    privileges::only_root_acts(&node)?;
    privileges::a_forbidden_call_is_told(&node)?;
    // Last: these drive older lines out of the kernel's ring.
    memory::who_eats_memory_is_ended_alone(&node)?;
    no_line_to_the_kernel_log_is_swallowed(&node)
}

/// What a person captures there can be read: each change once, in order, and no escape sequence.
fn the_serial_port_shows_each_status_once(node: &Node) -> Result<()> {
    let about = |line: &str| line.split_once("kubermesh: status=").map(|(_, rest)| rest.to_owned());
    let said: Vec<String> = node.kernel_ring()?.lines().filter_map(about).collect();
    ensure!(said.len() > 5, "few statuses: {said:?}");
    ensure!(said.windows(2).all(|two| two[0] != two[1]), "one came twice: {said:?}");
    node.wait_until("the serial port shows them", |node| {
        let lines = node.machine.serial().lines();
        let shown: Vec<String> =
            lines.iter().filter_map(|line| about(line.text.trim_end())).collect();
        ensure!(said.iter().zip(&shown).all(|(said, shown)| said == shown), "{said:?}\n{shown:?}");
        Ok(shown.len() >= said.len())
    })?;
    // The firmware before it does as it likes.
    let raw = std::fs::read(node.machine.folder().join("serial.log"))?;
    let begin = raw.windows(13).position(|bytes| bytes == b"Linux version").context("no kernel")?;
    ensure!(!raw[begin..].contains(&0x1b), "an escape sequence is in the captured log");
    Ok(())
}

/// The kernel's ring, a service's output and journald's socket, over the log worker's own death.
fn the_log_has_what_was_said(node: &Node) -> Result<()> {
    for (name, words) in [
        ("kernel", "Linux version"),
        ("kubermesh", "status=isolated"),
        ("containerd", "containerd successfully booted"),
        ("storage", "STATE is in /dev/sda2, DATA in /dev/sda3"),
    ] {
        let said = node.run(&["/usr/bin/kubermesh", "logs", name, "-n", "10000"])?;
        ensure!(said.contains(words), "{words:?} is not in the log of {name}:\n{said}");
    }
    // A worker speaks to journald's socket: net, when bird was killed.
    let said = node.run(&["/usr/bin/kubermesh", "logs", "net", "-n", "10000", "--json"])?;
    let entries = said.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
    let came_by_journal = |entry: &Value| entry["source"] == "journal";
    ensure!(entries.iter().any(came_by_journal), "nothing came over journald's socket:\n{said}");
    Ok(())
}

/// By default the kernel takes ten lines of a writer in five seconds (printk.devkmsg): PID 1 writes there too.
fn no_line_to_the_kernel_log_is_swallowed(node: &Node) -> Result<()> {
    // One writer, as PID 1 is one; debug lines, which no screen shows.
    let script =
        "i=0; while [ $i -lt 1000 ]; do i=$((i+1)); echo \"<15>storm: line $i.\"; done >/dev/kmsg";
    node.run(&["/usr/bin/busybox", "sh", "-c", script])?;
    let ring = node.kernel_ring()?;
    let lost = |text: &str| (1..=1000).filter(|at| !text.contains(&format!(" line {at}."))).count();
    ensure!(lost(&ring) == 0, "the kernel took {} of 1000 lines", 1000 - lost(&ring));
    node.wait_until("the log has them all", |node| {
        let said = node.run(&["/usr/bin/kubermesh", "logs", "storm", "-n", "10000"])?;
        Ok(lost(&said) == 0)
    })
}

const STATE_AND_DATA: [(&str, &str); 2] = [("/dev/sda2", "/state"), ("/dev/sda3", "/var")];

fn is_mounted(node: &Node, device: &str, point: &str) -> Result<()> {
    let mounts = node.machine.agent().read_text("/proc/mounts")?;
    ensure!(
        mounts.contains(&format!("{device} {point} ext4 ")),
        "{device} is not on {point}:\n{mounts}"
    );
    Ok(())
}

fn others(node: &Node, name: &str) -> Result<Vec<(String, Service)>> {
    let all = node.services()?;
    Ok(all
        .into_iter()
        .filter(|(other, service)| other != name && service.state == "running")
        .collect())
}

fn killed_service_comes_back_alone(node: &Node, name: &str) -> Result<()> {
    let (before, others_before) = (node.service(name)?, others(node, name)?);
    node.signal("KILL", before.pid)?;
    node.wait_until(&format!("{name} runs again"), |node| {
        let now = node.service(name)?;
        Ok(now.state == "running" && now.starts > before.starts)
    })?;
    let others_after = others(node, name)?;
    ensure!(
        others_before == others_after,
        "others changed: {others_before:?} became {others_after:?}"
    );
    Ok(())
}

fn pid_1_recovers_from_its_own_crash(node: &Node) -> Result<()> {
    let crash = ["/usr/bin/kubermesh", "call", "org.kubermesh.Node.Crash"];
    for (recoveries, cause) in [(1, "SIGSEGV"), (2, "panic")] {
        let before = node.services()?;
        if cause == "panic" {
            let answer = node.machine.agent().run_within(&crash, soon())?;
            ensure!(answer.status == 3, "PID 1 answered instead of crashing: {answer:?}");
        } else {
            node.signal("SEGV", 1)?;
        }
        node.machine.serial().wait(&format!("PID 1 recovered from {cause}"), soon())?;
        let status = node.ask(&["status"])?;
        ensure!(status["recoveries"] == recoveries, "recoveries: {}", status["recoveries"]);
        ensure!(before == node.services()?, "a service did not live on");
    }
    Ok(())
}

fn a_restart_of_containerd_leaves_the_pod_alone(node: &Node) -> Result<()> {
    let pid = node.beacon_pid()?;
    let (start, before) = (node.start_time(pid)?, node.service("containerd")?);
    begin_stream(node)?;
    node.run(&["/usr/bin/kubermesh", "restart", "containerd"])?;
    node.wait_until("containerd runs again", |node| {
        let now = node.service("containerd")?;
        Ok(now.state == "running" && now.starts > before.starts)
    })?;
    ensure!(node.start_time(pid)? == start, "the pod was started anew");
    // Said on the connection of before: a broken one would bring nothing back.
    node.machine.agent().write("/run/go", b"", 0o644)?;
    stream_brings(node, "after")
}

/// One TCP connection to the pod's echo (RFC 862) that says `before` at once and `after` when it may.
fn begin_stream(node: &Node) -> Result<()> {
    let address = node.pod_addresses()?.into_iter().next().context("no address")?;
    let script = format!(
        "(echo before; while ! [ -e /run/go ]; do sleep 1; done; echo after; sleep 60) | nc {address} 7 > /run/stream"
    );
    node.machine.agent().start(&["/usr/bin/busybox", "sh", "-c", &script])?;
    stream_brings(node, "before")
}

fn stream_brings(node: &Node, words: &str) -> Result<()> {
    node.wait_until(&format!("the stream brings {words} back"), |node| {
        Ok(node.machine.agent().read_text("/run/stream")?.contains(words))
    })
}
