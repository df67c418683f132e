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

use anyhow::{Context, Result, ensure};
use kubermesh_qemu::Recipe;
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
    node.machine.wait_off(soon())
}
