// SPDX-License-Identifier: Apache-2.0
//! A stick that takes little in a second, and is pulled while it is in use: the node takes its time, says what is wrong,
//! answers all along, and does not say at its end that all is on the disk.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may stop where it stands"
)]

use anyhow::{Result, ensure};
use kubermesh_qemu::Recipe;
use kubermesh_tests::{Node, soon, test_stick};

/// Less than a cheap stick takes.
const BYTES_PER_SECOND: u64 = 2 << 20;

/// They have nothing on the stick.
const UNHARMED: [&str; 5] = ["bird", "console", "light", "net", "probe"];

#[test]
fn a_stick_that_is_slow_and_then_pulled_costs_no_answer() -> Result<()> {
    let recipe = Recipe::new("worn").stick(test_stick()?.slow(BYTES_PER_SECOND));
    let node = Node { machine: recipe.boot()? };
    node.wait_pod()?;
    ensure!(node.faults()?.is_empty(), "a slow stick is a fault: {:?}", node.faults()?);
    let before = node.services()?;

    node.machine.unplug_stick(soon())?;
    node.wait_until("what is wrong to be told", |node| {
        let faults = node.faults()?;
        let log = faults.iter().any(|fault| fault.starts_with("log on STATE: cannot be written: "));
        Ok(log && faults.iter().any(|fault| fault.starts_with("service containerd: failed")))
    })?;
    let now = node.services()?;
    for name in UNHARMED {
        ensure!(now[name] == before[name], "{name}: {:?}, then {:?}", before[name], now[name]);
    }

    let serial = node.machine.serial();
    node.machine.power_button()?;
    serial.wait("is gone, and with it what was not written yet", soon())?;
    serial.wait("not all is on the disk: pull nothing before the machine is off", soon())?;
    node.machine.wait_off(soon())?;
    let all = "all is stopped and on the disk";
    let lied = serial.lines().into_iter().find(|line| line.text.contains(all));
    ensure!(lied.is_none(), "{lied:?}");
    Ok(())
}
