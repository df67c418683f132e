// SPDX-License-Identifier: Apache-2.0
//! Two nodes on a cable: neighbours, each other's address and pod, the cable pulled and put back, and a death of
//! each that only its hardware or its kernel can end.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may stop where it stands"
)]

use anyhow::{Context, Result, ensure};
use kubermesh_qemu::{Cable, Recipe};
use kubermesh_tests::{Node, soon, test_stick};

#[test]
fn two_nodes_on_a_cable_see_each_other() -> Result<()> {
    let boot = |name: &str| -> Result<Node> {
        let recipe = Recipe::new(name).stick(test_stick()?).cmdline("kubermesh.test");
        Ok(Node { machine: recipe.boot()? })
    };
    let (one, two) = (boot("one")?, boot("two")?);
    let cable = Cable::between(one.machine.port(0)?, two.machine.port(0)?)?;
    for node in [&one, &two] {
        println!("ready: {}", node.wait_status("ready")?);
        node.machine.agent().wait(soon())?;
    }
    let address = |node: &Node| -> Result<String> {
        Ok(node.ask(&["status"])?["address"].as_str().context("no address")?.to_owned())
    };
    let (first, second) = (address(&one)?, address(&two)?);
    ensure!(first != second, "both are {first}");
    answers(&one, &second)?;
    answers(&two, &first)?;
    reaches_the_pod_of(&one, &two)?;

    // Only what comes of the pull counts, nothing that an adjacency went through before.
    one.machine.serial().forget();
    two.machine.serial().forget();
    cable.pull()?;
    one.wait_status("isolated")?;
    two.wait_status("isolated")?;
    cable.plug()?;
    one.wait_status("ready")?;
    two.wait_status("ready")?;
    answers(&one, &second)?;
    both_die_at_once_and_come_back_as_themselves(&one, &two)
}

/// PID 1 of one hangs, and its hardware resets it; the kernel of the other panics, and leaves its record:
/// in the firmware first, and from there on STATE.
fn both_die_at_once_and_come_back_as_themselves(hung: &Node, panicked: &Node) -> Result<()> {
    let both = [hung, panicked];
    let before = [hung.ask(&["status"])?, panicked.ask(&["status"])?];
    let marks = [hung.machine.mark()?, panicked.machine.mark()?];
    for node in both {
        node.run(&["/usr/bin/busybox", "sync"])?;
        node.machine.serial().forget();
    }
    let hang = ["/usr/bin/kubermesh", "call", "org.kubermesh.Node.Crash", r#"{"how":"hang"}"#];
    hung.machine.agent().start(&hang)?;
    // The agent answers before that.
    let panic = ["/usr/bin/busybox", "sh", "-c", "sleep 2; echo c > /proc/sysrq-trigger"];
    panicked.machine.agent().start(&panic)?;
    for (node, mark) in both.into_iter().zip(marks) {
        node.machine.wait_reset(mark, soon())?;
    }
    let told = "fault: kernel: its last life ended by a panic: /state/crash/1";
    panicked.machine.serial().wait(told, soon())?;
    hung.wait_status("ready")?;
    for (node, before) in both.into_iter().zip(before) {
        node.machine.agent().wait(soon())?;
        let after = node.ask(&["status"])?;
        ensure!(after["identity"] == before["identity"], "{before} became {after}");
        ensure!(after["recoveries"] == 0, "PID 1 lived on: {after}");
    }
    let record = panicked.run(&["/usr/bin/busybox", "sh", "-c", "cat /state/crash/1/*"])?;
    ensure!(record.contains("sysrq triggered crash"), "{record}");
    let left = panicked.run(&["/usr/bin/busybox", "ls", "/sys/fs/pstore"])?;
    ensure!(left.is_empty(), "the firmware keeps it too: {left}");
    Ok(())
}

/// Sooner or later: a neighbour is full before the routes to it are reckoned.
fn answers(from: &Node, address: &str) -> Result<()> {
    from.wait_until("the neighbour's address answers", |node| {
        Ok(node.run(&["/usr/bin/busybox", "ping6", "-c", "1", "-W", "5", address]).is_ok())
    })
}

/// The other node's pod answers over IPv6: its /64 is announced to the mesh.
fn reaches_the_pod_of(from: &Node, other: &Node) -> Result<()> {
    let names = other.run(&["/usr/bin/busybox", "ls", "/run/cni/addresses/kubermesh"])?;
    let address =
        names.lines().find(|name| name.contains(':')).context("the pod has no IPv6 address")?;
    let url = format!("http://[{address}]:8080/healthz");
    from.wait_until("the neighbour's pod answers", |node| {
        Ok(node.run(&["/usr/bin/busybox", "wget", "-q", "-O", "-", &url]).is_ok())
    })
}
