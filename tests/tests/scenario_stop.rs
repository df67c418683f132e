// SPDX-License-Identifier: Apache-2.0
//! The way down when something does not want to go: services that hear no SIGTERM, a stick that hangs.
//! Every step has an end, and the next life finds what this one had written.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may stop where it stands"
)]

use anyhow::{Context, Result, ensure};
use kubermesh_qemu::Recipe;
use kubermesh_tests::{Node, soon, test_stick};

#[test]
fn the_way_down_ends_whoever_does_not_want_to_go() -> Result<()> {
    let recipe = Recipe::new("stubborn").stick(test_stick()?.may_hang());
    let node = Node { machine: recipe.boot()? };
    let identity = comes_up(&node)?;
    passes_services_that_hear_no_signal(&node)?;
    ensure!(comes_up(&node)? == identity, "another identity after a reboot");

    node.machine.agent().write("/var/lib/kept", b"kept", 0o644)?;
    node.run(&["/usr/bin/busybox", "sync"])?;
    passes_a_stick_that_hangs(&node)?;
    node.machine.power_on()?;
    ensure!(comes_up(&node)? == identity, "another identity after the stick hung");
    ensure!(node.machine.agent().read_text("/var/lib/kept")? == "kept");
    Ok(())
}

/// Up, and nothing wrong: both file systems were clean once their journals were replayed.
fn comes_up(node: &Node) -> Result<String> {
    node.wait_pod()?;
    let (status, faults) = (node.ask(&["status"])?, node.faults()?);
    ensure!(faults.is_empty(), "faults: {faults:?}");
    node.machine.serial().forget();
    Ok(status["identity"].as_str().context("no identity")?.to_owned())
}

fn passes_services_that_hear_no_signal(node: &Node) -> Result<()> {
    let (mark, serial) = (node.machine.mark()?, node.machine.serial());
    // `probe` first: it would have bird restarted.
    for name in ["probe", "bird"] {
        node.signal("STOP", node.service(name)?.pid)?;
    }
    node.run(&["/usr/bin/kubermesh", "reboot"])?;
    for name in ["kubelet", "stop-pods", "containerd"] {
        serial
            .wait(&format!("kubermesh: status=stopping stopping {name} to start again"), soon())?;
    }
    let both =
        serial.wait("kubermesh: status=stopping stopping bird, probe to start again", soon())?;
    // bird may take 5 s and probe 10 s. Both stand still, so that nothing but SIGKILL ends them: in that order.
    let one = serial.wait("kubermesh: status=stopping stopping probe to start again", soon())?;
    let next = serial.wait("kubermesh: status=stopping stopping log to start again", soon())?;
    println!("bird had {:.1?} of 5 s, probe {:.1?} of 10 s", one.at - both.at, next.at - both.at);
    serial.wait("kubermesh: status=stopping stopping unmount to start again", soon())?;
    serial.wait("all is stopped and on the disk: stick and power may be pulled", soon())?;
    node.machine.wait_reset(mark, soon())?;
    let passed = serial.lines().into_iter().find(|line| line.text.contains("passed over"));
    ensure!(passed.is_none(), "{passed:?}");
    nobody_was_refused_a_call(node)
}

/// The console goes last and mirrors the kernel's log until then: who unmounts was heard as well.
fn nobody_was_refused_a_call(node: &Node) -> Result<()> {
    let told: Vec<_> = node
        .machine
        .serial()
        .lines()
        .into_iter()
        .map(|line| line.text)
        .filter(|text| text.contains("audit: type=1326"))
        .collect();
    ensure!(told.is_empty(), "refused on the way down:\n{}", told.join("\n"));
    Ok(())
}

fn passes_a_stick_that_hangs(node: &Node) -> Result<()> {
    let serial = node.machine.serial();
    // After 30 s the kernel would give up a command and reset the stick, on which QEMU 7.2 itself waits for its
    // disk and stands still. So the kernel waits on, and nothing but the node's own deadlines ends anything.
    node.machine.agent().write("/sys/block/sda/device/timeout", b"3600", 0o644)?;
    node.machine.freeze_stick()?;
    node.machine.power_button()?;
    let begin = serial.wait("kubermesh: status=stopping stopping kubelet to switch off", soon())?;
    let step = |name: &str| {
        serial.wait(&format!("kubermesh: status=stopping stopping {name} to switch off"), soon())
    };
    step("stop-pods")?;
    step("containerd")?;
    step("log")?;
    step("unmount")?;
    // The log was writing when the stick hung: no signal ends that.
    serial.wait("kubermesh: fault: service log: cannot be ended: the kernel holds it", soon())?;
    let told = "kubermesh storage: /state: /usr/bin/umount ";
    let said = serial.wait(told, soon())?.text;
    ensure!(said.ends_with("nor can it be made read-only"), "{said}");
    let end =
        serial.wait("not all is on the disk: pull nothing before the machine is off", soon())?;
    println!("the way down took {:.0?} of the 197 s that its steps may take", end.at - begin.at);
    nobody_was_refused_a_call(node)?;
    // The kernel's own end, and QEMU's, wait for the stick.
    node.machine.thaw_stick()?;
    node.machine.wait_off(soon())?;
    serial.forget();
    Ok(())
}
