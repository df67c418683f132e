// SPDX-License-Identifier: Apache-2.0
//! The way down and back: the power button, Ctrl-Alt-Del, a power cut; identity and data are kept.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may stop where it stands"
)]

use std::process::Command;

use anyhow::{Context, Result, ensure};
use kubermesh_qemu::{Folder, Recipe};
use kubermesh_tests::{Node, soon, test_stick};

#[test]
fn a_node_goes_down_in_order_and_comes_back_as_itself() -> Result<()> {
    let node = Node { machine: Recipe::new("down").stick(test_stick()?).agent(true).boot()? };
    let comes_up = || -> Result<String> {
        node.wait_status("isolated")?;
        node.machine.agent().wait(soon())?;
        let status = node.ask(&["status"])?;
        Ok(status["identity"].as_str().context("no identity")?.to_owned())
    };
    let identity = comes_up()?;
    node.machine.agent().write("/var/lib/kept", b"kept", 0o644)?;
    node.run(&["/usr/bin/busybox", "sync"])?;

    node.machine.power_cut()?;
    // Each status has several lines: those of the last life are no news of the next.
    node.machine.serial().forget();
    node.machine.power_on()?;
    ensure!(comes_up()? == identity, "another identity after a power cut");
    ensure!(node.machine.agent().read_text("/var/lib/kept")? == "kept");

    let mark = node.machine.mark()?;
    node.machine.ctrl_alt_del()?;
    node.wait_status("stopping")?;
    node.machine.wait_reset(mark, soon())?;
    node.machine.serial().forget();
    ensure!(comes_up()? == identity, "another identity after Ctrl-Alt-Del");

    node.machine.power_button()?;
    node.machine.serial().wait("stick and power may be pulled", soon())?;
    node.machine.wait_off(soon())?;
    both_file_systems_are_clean(&node)
}

/// As the stick lies there now: nothing of a journal is left to replay. A file system that is repaired at
/// the next boot would look the same from within.
fn both_file_systems_are_clean(node: &Node) -> Result<()> {
    let folder = Folder::new("down")?;
    let stick = folder.file("stick.img");
    node.machine.save_stick(&stick)?;
    for number in ["2", "3"] {
        let told = output(Command::new("/usr/sbin/sgdisk").arg("--info").arg(number).arg(&stick))?;
        let first = told.lines().find_map(|line| line.strip_prefix("First sector: "));
        let sector = first.and_then(|rest| rest.split(' ').next()).context(told.clone())?;
        let place = format!("{}?offset={}", stick.display(), sector.parse::<u64>()? * 512);
        let head = output(Command::new("/usr/sbin/dumpe2fs").arg("-h").arg(place))?;
        let of = |key: &str| head.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
        ensure!(of("Filesystem state:") == Some("clean"), "partition {number}:\n{head}");
        let features = of("Filesystem features:").context("no features")?;
        ensure!(features.contains("has_journal"), "partition {number}: {features}");
        ensure!(!features.contains("needs_recovery"), "partition {number}: {features}");
    }
    Ok(())
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("run {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {output:?}");
    Ok(String::from_utf8(output.stdout)?)
}
