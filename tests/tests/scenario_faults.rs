// SPDX-License-Identifier: Apache-2.0
//! A node with something missing or wrong from the start: it comes up with what is there and says what is not.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may stop where it stands"
)]

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use kubermesh_qemu::{Boot, Folder, Nic, Recipe, SerialPort, Stick};
use kubermesh_tests::{Node, image, soon, test_stick};
use serde_json::json;

/// As an editor on Windows writes it; the key in the fourth line is misspelt.
const BAD_NODE_TOML: &str =
    "# My mesh.\r\n[mesh]\r\nprefix = \"fd12:3456:789a::/64\"\r\nhelo = \"2s\"\r\n";

#[test]
fn a_bad_node_toml_is_told_with_its_line_and_what_is_good_of_it_holds() -> Result<()> {
    let folder = Folder::new("wish")?;
    let stick = stick_with(BAD_NODE_TOML, &folder)?;
    // And its battery is empty: the machine's own clock has lost 26 years.
    let recipe = Recipe::new("wish").stick(stick).argument("-rtc").argument("base=2000-01-01");
    let node = Node { machine: recipe.boot()? };

    node.machine.serial().wait(" days before this image: its battery may be empty", soon())?;
    // A misspelt name takes no node out of its mesh.
    node.machine.serial().wait(", fd12:3456:789a:", soon())?;
    let fault = node.machine.serial().wait("kubermesh: fault: node.toml: ", soon())?.text;
    for words in ["line 4, column 1", "`helo`", "expected one of `prefix`, `hello`, `dead`, `bfd`"]
    {
        ensure!(fault.contains(words), "{words:?} is not in: {fault}");
    }
    let sentence = node.wait_status("isolated")?;
    ensure!(sentence.starts_with("no neighbour: no cable on "), "{sentence}");
    runs_its_pod(&node)?;
    its_clock_is_not_before_the_image(&node)?;
    let (faults, told) = (node.faults()?, fault.split_once("fault: ").context("no fault")?.1);
    ensure!(faults == [told.trim_end()], "{faults:?} and on the serial port {told:?}");
    node.machine.agent().must(&[
        "/usr/bin/busybox",
        "ip",
        "addr",
        "show",
        "to",
        "fd12:3456:789a::/64",
    ])?;
    Ok(())
}

fn its_clock_is_not_before_the_image(node: &Node) -> Result<()> {
    let image: u64 = node.machine.agent().read_text("/usr/lib/kubermesh/epoch")?.trim().parse()?;
    let now: u64 = node.run(&["/usr/bin/busybox", "date", "+%s"])?.trim().parse()?;
    // 946684800 is 2000-01-01.
    ensure!(image > 946_684_800 && now >= image && now < image + 3600, "{now}, the image {image}");
    Ok(())
}

#[test]
fn a_node_needs_no_port_no_light_and_nobody_at_its_serial_port() -> Result<()> {
    let recipe = Recipe::new("bare").nics(&[]).light_sockets(0).serial(SerialPort::Blocked);
    let node = Node { machine: recipe.stick(test_stick()?).boot()? };

    runs_its_pod(&node)?;
    let status = &node.ask(&["status"])?["status"];
    let wanted = "no neighbour: this machine has no mesh port; 1 of 1 pods run";
    ensure!(status["sentence"] == wanted, "{status}");
    ensure!(node.faults()?.is_empty(), "{status}");
    ensure!(node.ask(&["links"])?["ports"] == json!([]), "there is a port");
    let lights = &node.ask(&["light"])?["lights"];
    ensure!(*lights == json!({ "devices": [], "faults": [] }), "{lights}");
    all_services_run_the_first_time(&node)
}

#[test]
fn a_node_needs_no_disk_and_no_serial_port() -> Result<()> {
    let recipe = Recipe::new("diskless").serial(SerialPort::Absent).nics(&[Nic::E1000e]);
    let uki = Boot::Uki(image("kubermesh.efi")?);
    let node = Node { machine: recipe.boot_from(uki).boot()? };

    runs_its_pod(&node)?;
    ensure!(node.ask(&["links"])?["ports"][0]["name"] == "eth0", "an e1000e is no port");
    let mounts = node.machine.agent().read_text("/proc/mounts")?;
    for point in ["/state", "/var"] {
        let last = mounts.lines().rfind(|line| line.split(' ').nth(1) == Some(point));
        let kind = last.and_then(|line| line.split(' ').nth(2));
        ensure!(kind == Some("tmpfs"), "{point} is no tmpfs:\n{mounts}");
    }
    let faults = node.faults()?;
    let wanted = [
        "node.toml: no [mesh] prefix of its own: uses the one of all who chose none",
        "boot stick: the boot loader did not say which disk it started from; this node runs from memory",
        "log in memory: will not outlive this boot: STATE is not mounted",
    ];
    ensure!(faults == wanted, "{faults:?}");
    all_services_run_the_first_time(&node)
}

/// The test image's stick with another node.toml.
fn stick_with(node_toml: &str, folder: &Folder) -> Result<Stick> {
    let (copy, text) = (folder.file("stick.img"), folder.file("node.toml"));
    std::fs::write(&text, node_toml)?;
    run(Command::new("cp").arg("--sparse=always").arg(image("kubermesh-usb.img")?).arg(&copy))?;
    // The boot partition begins at 1 MiB.
    run(Command::new("mcopy")
        .env("MTOOLSRC", "/dev/null")
        .args(["-o", "-i", &at_one_mib(&copy)])
        .arg(&text)
        .arg("::/kubermesh/node.toml"))?;
    Ok(Stick::from_image(copy).size_mib(4096))
}

fn at_one_mib(image: &Path) -> String {
    format!("{}@@1048576", image.display())
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("run {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {output:?}");
    Ok(())
}

/// It has come as far as a node alone can.
fn runs_its_pod(node: &Node) -> Result<()> {
    node.machine.agent().wait(soon())?;
    node.wait_until("the pod runs", |node| {
        let status = node.ask(&["status"])?;
        Ok(status["word"] == "isolated" && status["pods"]["running"] == 1)
    })
}

fn all_services_run_the_first_time(node: &Node) -> Result<()> {
    for (name, service) in node.services()? {
        let is_there = service.state == "running" && service.starts == 1;
        ensure!(
            is_there || service.state == "done" || service.state == "stopped",
            "{name}: {service:?}"
        );
    }
    Ok(())
}
