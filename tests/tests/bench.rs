// SPDX-License-Identifier: Apache-2.0
//! `make bench`: the figures of one node and of two on a cable, printed and written to docs/figures.md.
//!
//! Nothing is judged here but that each figure could be taken. Times are those of an emulated
//! machine: good for comparing two runs on one machine, and no more.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "figures of one run are far from any bound; a key that JSON lacks is null"
)]

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use kubermesh_qemu::{Cable, Recipe};
use kubermesh_tests::{Node, soon, test_stick};
use serde_json::Value;

/// The memory budget of the issue: PID 1 and these.
const BUDGETED: [&str; 3] = ["net", "light", "log"];

/// Long enough for three of PID 1's watchdog ticks.
const IDLE: Duration = Duration::from_secs(60);

#[test]
fn figures_of_a_node() -> Result<()> {
    let boot = |name: &str| -> Result<Node> {
        let recipe = Recipe::new(name).stick(test_stick()?).agent(true).watchdog(true);
        Ok(Node { machine: recipe.boot()? })
    };
    let (one, two) = (boot("one")?, boot("two")?);
    let _cable = Cable::between(one.machine.port(0)?, two.machine.port(0)?)?;
    for node in [&one, &two] {
        node.wait_status("ready")?;
        node.machine.agent().wait(soon())?;
    }
    let mut page = head()?;
    idle(&one, &mut page)?;
    memory(&one, &mut page)?;
    milestones(&one, &mut page)?;
    sizes(&one, &mut page)?;
    println!("{page}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/figures.md");
    std::fs::write(&path, page).with_context(|| format!("write {}", path.display()))
}

fn head() -> Result<String> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo")?;
    let model = cpu.lines().find(|line| line.starts_with("model name"));
    let model =
        model.and_then(|line| line.split_once(": ")).map_or("an unknown kind", |(_, model)| model);
    let cores = std::thread::available_parallelism()?;
    Ok(format!(
        "# Figures\n\nWritten by `make bench`. Two nodes on a cable, QEMU's TCG (no KVM), 2 GiB each, on {cores} cores of {model}. Single run.\n"
    ))
}

/// Private memory in KiB: pages that nobody else maps, and of these the ones that no file backs.
fn private(node: &Node, pid: u64) -> Result<(u64, u64)> {
    let text = node.machine.agent().read_text(&format!("/proc/{pid}/smaps_rollup"))?;
    let field = |name: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
        line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
    };
    let dirty = field("Private_Dirty:");
    Ok((dirty + field("Private_Clean:"), dirty))
}

fn memory(node: &Node, page: &mut String) -> Result<()> {
    page.push_str("\n## Memory at rest, KiB\n\n`private` counts the pages of programs on the read-only root that only this process has in use; `written` is what it could not give back.\n\n| process | private | written |\n|---|---|---|\n");
    let (all, written) = private(node, 1)?;
    writeln!(page, "| PID 1 (target 614) | {all} | {written} |")?;
    let (mut sum_all, mut sum_written) = (all, written);
    for (name, service) in node.services()? {
        if service.pid == 0 || name == "agent" {
            continue;
        }
        let (all, written) = private(node, service.pid)?;
        writeln!(page, "| {name} | {all} | {written} |")?;
        if BUDGETED.contains(&name.as_str()) {
            sum_all += all;
            sum_written += written;
        }
    }
    writeln!(page, "| **PID 1, net, light, log** (target 3584) | {sum_all} | {sum_written} |")?;
    Ok(())
}

fn idle(node: &Node, page: &mut String) -> Result<()> {
    let wakeups = || -> Result<u64> {
        let text = node.machine.agent().read_text("/proc/1/status")?;
        let line = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        Ok(line.context("no voluntary_ctxt_switches")?.trim().parse()?)
    };
    let before = wakeups()?;
    // What is measured is that nothing happens.
    std::thread::sleep(IDLE);
    let count = wakeups()? - before;
    writeln!(
        page,
        "\n## Idle\n\nPID 1 woke {count} times in {} s; the watchdog's tick is every 20 s.",
        IDLE.as_secs()
    )?;
    Ok(())
}

fn milestones(node: &Node, page: &mut String) -> Result<()> {
    page.push_str("\n## Times, s after kernel start\n\n| | s |\n|---|---|\n");
    let log = node.run(&["/usr/bin/busybox", "dmesg"])?;
    let at = |words: &str| -> String {
        let line = log.lines().find(|line| line.contains(words));
        let time =
            line.and_then(|line| line.split_once('[')).and_then(|(_, rest)| rest.split_once(']'));
        time.map_or_else(|| "not seen".to_owned(), |(time, _)| time.trim().to_owned())
    };
    for (what, words) in [
        ("PID 1 in the initramfs", "enters the root"),
        ("first service", "storage is at work"),
        ("STATE and DATA made and mounted (first boot)", "kubermesh: this is"),
        ("containerd answers, images imported next", "images is at work"),
        ("kubelet started", "waiting for kubelet"),
        ("ready: its pod runs", "status=ready"),
    ] {
        writeln!(page, "| {what} | {} |", at(words))?;
    }
    let links = node.ask(&["links"])?;
    let full = links["ports"][0]["neighbour"]["since"].as_u64().context("no full neighbour")?;
    writeln!(page, "| BIRD full with the neighbour | {} |", seconds(full))?;
    for (what, name) in [("bird answers", "bird"), ("kubelet healthy", "kubelet")] {
        let answer = node.ask(&["services"])?;
        let list = answer["services"].as_array().context("no list of services")?;
        let found = list.iter().find(|one| one["name"] == name).context("no such service")?;
        let since = found["since"].as_u64().with_context(|| format!("{found}"))?;
        writeln!(page, "| {what} | {} |", seconds(since))?;
    }
    Ok(())
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}

fn sizes(node: &Node, page: &mut String) -> Result<()> {
    page.push_str("\n## Sizes, bytes\n\n| | bytes |\n|---|---|\n");
    for path in [
        "/usr/lib/kubermesh/init",
        "/usr/bin/kubermesh",
        "/usr/bin/kube",
        "/usr/bin/containerd",
        "/usr/sbin/bird",
    ] {
        let size = node.run(&["/usr/bin/busybox", "stat", "-L", "-c", "%s", path])?;
        writeln!(page, "| {path} | {} |", size.trim())?;
    }
    what_takes_the_uki(page)
}

/// Of the image that people get, not of the tests'.
fn what_takes_the_uki(page: &mut String) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../out/kubermesh.room.json");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("{}: `make bench` builds it", path.display()))?;
    let room: Value = serde_json::from_str(&text)?;
    let rows = |key: &str| room[key].as_array().cloned().unwrap_or_default();
    let total: u64 = rows("parts").iter().filter_map(|part| part["bytes"].as_u64()).sum();
    writeln!(page, "\n## The UKI\n\n{total} bytes; allowed are less than 150000000.\n")?;
    page.push_str("| part, packed | bytes |\n|---|---|\n");
    for (title, key) in [("", "parts"), ("| on the root, before packing | |\n", "root")] {
        page.push_str(title);
        for row in rows(key) {
            writeln!(page, "| {} | {} |", row["name"].as_str().unwrap_or_default(), row["bytes"])?;
        }
    }
    Ok(())
}
