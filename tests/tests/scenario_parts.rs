// SPDX-License-Identifier: Apache-2.0
//! Parts that come and go, and sticks that give no room: the node stays up and says what is wrong.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may stop where it stands"
)]

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kubermesh_qemu::blink1::{Blink1, Colour, Hue, Kind, Led};
use kubermesh_qemu::{Folder, Recipe, Stick};
use kubermesh_tests::{Node, image, soon, test_stick};
use serde_json::{Value, json};

#[test]
fn lights_and_ports_come_and_go_on_a_node_whose_stick_is_full() -> Result<()> {
    let folder = Folder::new("full")?;
    let machine = Recipe::new("parts").stick(full_stick(&folder)?).light_sockets(2).make()?;
    let light = Blink1::new(Kind::Mk2, 7)?;
    light.plug(machine.light_socket(0))?;
    machine.power_on()?;
    let node = Node { machine };
    runs_from_memory(
        &node,
        &[
            "boot stick: no room for STATE: 64 MiB needed, 0 MiB free",
            "boot stick: no room for DATA: 256 MiB needed, 0 MiB free",
            LOG_IN_MEMORY,
        ],
    )?;
    let before = (node.services()?, node.faults()?);
    lights_come_and_go(&node, &light)?;
    the_port_comes_and_goes(&node)?;
    keyboards_come_and_go(&node)?;
    ensure!(before == (node.services()?, node.faults()?), "a service or a fault changed");
    Ok(())
}

#[test]
fn a_node_on_a_write_protected_stick_needs_it_for_the_boot_only() -> Result<()> {
    let node = Node { machine: Recipe::new("worn").stick(test_stick()?.readonly()).boot()? };
    let read_only = "boot stick: sda cannot be written: this node runs from memory";
    runs_from_memory(&node, &[read_only, LOG_IN_MEMORY])?;
    let before = node.services()?;
    node.machine.unplug_stick(soon())?;
    node.wait_until("the stick is gone", |node| {
        Ok(node.machine.agent().read("/sys/block/sda/size").is_err())
    })?;
    // A program that has not run yet is not in the page cache: it comes from the root in memory.
    node.run(&["/usr/sbin/mke2fs", "-V"])?;
    let pods = &node.ask(&["status"])?["pods"]["running"];
    ensure!(*pods == 1, "{pods} pods run without the stick");
    ensure!(before == node.services()?, "a service missed the stick");
    Ok(())
}

const LOG_IN_MEMORY: &str = "log in memory: will not outlive this boot: STATE is not mounted";

/// A stick on which its owner has put a partition into all the room that there was.
fn full_stick(folder: &Folder) -> Result<Stick> {
    let copy = folder.file("full.img");
    let run = |command: &mut Command| -> Result<()> {
        let output = command.output().with_context(|| format!("run {command:?}"))?;
        ensure!(output.status.success(), "{command:?}: {output:?}");
        Ok(())
    };
    run(Command::new("cp").arg("--sparse=always").arg(image("kubermesh-usb.img")?).arg(&copy))?;
    run(Command::new("/usr/sbin/sgdisk")
        .args(["--new=2:0:0", "--change-name=2:photos"])
        .arg(&copy))?;
    Ok(Stick::from_image(copy))
}

/// It comes up with its pod, STATE and DATA in memory, and says why: on the serial port and when asked.
fn runs_from_memory(node: &Node, wanted: &[&str]) -> Result<()> {
    node.wait_pod()?;
    let mounts = node.machine.agent().read_text("/proc/mounts")?;
    for point in ["/state", "/var"] {
        let last = mounts.lines().rfind(|line| line.split(' ').nth(1) == Some(point));
        let kind = last.and_then(|line| line.split(' ').nth(2));
        ensure!(kind == Some("tmpfs"), "{point} is no tmpfs:\n{mounts}");
    }
    let lines = node.machine.serial().lines();
    for fault in wanted {
        let told = format!("kubermesh: fault: {fault}");
        ensure!(lines.iter().any(|line| line.text.contains(&told)), "{told:?} was not said");
    }
    ensure!(node.faults()? == wanted, "faults: {:?}", node.faults()?);
    Ok(())
}

fn lights_come_and_go(node: &Node, light: &Blink1) -> Result<()> {
    let (first, second) = (node.machine.light_socket(0), node.machine.light_socket(1));
    has_lights(node, &["20000007"])?;
    let other = Blink1::new(Kind::Mk3, 8)?;
    other.plug(second.clone())?;
    has_lights(node, &["20000007", "30000008"])?;
    shows_isolated_with_a_fault(light)?;
    shows_isolated_with_a_fault(&other)?;

    light.unplug();
    has_lights(node, &["30000008"])?;
    ensure!(light.colour(Led::First) == Colour::OFF, "a light without power shines");
    other.unplug();
    has_lights(node, &[])?;
    light.plug(second)?;
    has_lights(node, &["20000007"])?;
    shows_isolated_with_a_fault(light)?;
    other.plug(first)?;
    has_lights(node, &["20000007", "30000008"])
}

fn has_lights(node: &Node, wanted: &[&str]) -> Result<()> {
    node.wait_until(&format!("these lights: {wanted:?}"), |node| {
        let lights = &node.ask(&["light"])?["lights"];
        ensure!(lights["faults"] == json!([]), "{lights}");
        Ok(lights["devices"] == json!(wanted))
    })
}

fn shows_isolated_with_a_fault(light: &Blink1) -> Result<()> {
    let (span, period) = (Duration::from_millis(4100), Duration::from_millis(2000));
    let once =
        |seen: &kubermesh_qemu::blink1::Seen, hue| seen.is(hue, |rhythm| rhythm.blinks(1, period));
    light.wait_seen("amber", Led::First, span, soon(), |seen| once(seen, Hue::Amber))?;
    light.wait_seen("yellow", Led::Second, span, soon(), |seen| once(seen, Hue::Yellow)).map(drop)
}

/// Each has a power key, which PID 1 listens to; none leaves a descriptor behind.
fn keyboards_come_and_go(node: &Node) -> Result<()> {
    let held = |node: &Node| -> Result<usize> {
        Ok(node.run(&["/usr/bin/busybox", "ls", "/proc/1/fd"])?.lines().count())
    };
    let before = held(node)?;
    for _ in 0..3 {
        node.machine.plug_keyboard()?;
        node.wait_until("PID 1 to hear the keyboard", |node| Ok(held(node)? == before + 1))?;
        node.machine.unplug_keyboard(soon())?;
        node.wait_until("PID 1 to let it go", |node| Ok(held(node)? == before))?;
    }
    Ok(())
}

/// The only network card is pulled out of its slot and put back.
fn the_port_comes_and_goes(node: &Node) -> Result<()> {
    let ports = |node: &Node| -> Result<Vec<(String, String)>> {
        let answer = node.ask(&["links"])?;
        let list = answer["ports"].as_array().context("no list of ports")?;
        let words = |key: &Value| key.as_str().unwrap_or_default().to_owned();
        Ok(list.iter().map(|port| (words(&port["name"]), words(&port["place"]))).collect())
    };
    let before = ports(node)?;
    ensure!(before.len() == 1, "ports: {before:?}");
    node.machine.unplug_nic(0, soon())?;
    node.machine.serial().wait("no neighbour: this machine has no mesh port", soon())?;
    ensure!(ports(node)?.is_empty(), "a port is left: {:?}", ports(node)?);
    node.machine.plug_nic(0)?;
    let bare = format!("no neighbour: no cable on {}", before[0].0);
    node.machine.serial().wait(&bare, soon())?;
    ensure!(ports(node)? == before, "{before:?} came back as {:?}", ports(node)?);
    Ok(())
}
