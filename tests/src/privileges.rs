// SPDX-License-Identifier: Apache-2.0
//! What each confined service may do, read from the running node and compared with the table of
//! `docs/security.md`: that page is written by hand, and here it is held to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, ensure};

use kubermesh_qemu::agent::Output;

use crate::Node;

mod calls;
mod view;

/// One row of the page.
#[derive(Debug)]
struct Row {
    service: String,
    user: String,
    capabilities: BTreeSet<String>,
    system_calls: BTreeSet<String>,
    writable: BTreeSet<String>,
    devices: BTreeSet<String>,
    no_new_privs: String,
}

/// Compares every running service of the page, and says so of those that the page leaves out.
///
/// # Errors
/// The first difference, by service and column.
pub fn are_as_the_page_says(node: &Node) -> Result<()> {
    let rows = page()?;
    ensure!(rows.len() == 9, "docs/security.md has {} rows", rows.len());
    let services = node.services()?;
    for row in &rows {
        let service = services.get(&row.service).with_context(|| format!("no {}", row.service))?;
        let file = the_file_says_so(node, row).with_context(|| row.service.clone())?;
        let seen = if service.state == "running" {
            Seen::running(node, &row.service, service.pid)
        } else {
            ensure!(TASKS.contains(&row.service.as_str()), "{} does not run", row.service);
            Seen::in_its_place(node, &row.service)
        };
        seen.and_then(|seen| the_kernel_says_so(node, row, &file, &seen))
            .with_context(|| row.service.clone())?;
        calls::are_as_the_page_says(node, row).with_context(|| row.service.clone())?;
    }
    for (name, service) in &services {
        if service.pid != 0 && rows.iter().all(|row| row.service != *name) {
            let seen = Seen::running(node, name, service.pid)?;
            ensure!(
                seen.status["Seccomp"] == "0",
                "{name} is confined, docs/security.md is silent"
            );
            ensure!(STAND_APART.contains(&name.as_str()), "{name} is neither confined nor apart");
        }
    }
    Ok(())
}

/// No service has made a call that its list does not have: it would have been refused something that it needs.
///
/// # Errors
/// One has.
pub fn none_was_refused_a_call(node: &Node) -> Result<()> {
    let told = refused_calls(node)?;
    ensure!(told.is_empty(), "a service was refused:\n{}", told.join("\n"));
    Ok(())
}

/// A call that is not on the list fails, and the kernel's log says which.
///
/// # Errors
/// It does not fail, or was not told.
pub fn a_forbidden_call_is_told(node: &Node) -> Result<()> {
    // Tried until it is told: the kernel tells of ten such calls in five seconds, and others were tried just before.
    node.wait_until("the kernel tells of mkdir", |node| {
        let answer = in_its_place(node, "stop-pods", "/usr/bin/busybox mkdir /run/tried")?;
        let refused = answer.stderr.contains("Operation not permitted");
        ensure!(refused, "mkdir was not refused: {answer:?}");
        Ok(refused_calls(node)?.iter().any(|line| {
            line.contains("comm=\"busybox\"") && line.contains(&format!("syscall={MKDIR} "))
        }))
    })
}

fn refused_calls(node: &Node) -> Result<Vec<String>> {
    let ring = node.kernel_ring()?;
    Ok(ring.lines().filter(|line| line.contains("type=1326")).map(str::to_owned).collect())
}

/// Confines a command as this service is, in a cgroup beside the services': the launcher bounds the devices of
/// the one that it is in.
fn in_its_place(node: &Node, service: &str, command: &str) -> Result<Output> {
    let script = format!(
        "mkdir -p /sys/fs/cgroup/{TRIED} && echo 0 > /sys/fs/cgroup/{TRIED}/cgroup.procs && \
         exec /usr/bin/kubermesh confine /usr/lib/kubermesh/services/{service}.toml -- {command}"
    );
    node.machine.agent().run(&["/usr/bin/busybox", "sh", "-c", &script])
}

/// What the kernel says of a confined process.
struct Seen {
    /// The lines of `/proc/<pid>/status`, runs of blanks made one.
    status: BTreeMap<String, String>,
    mounts: String,
    cgroup: String,
}

impl Seen {
    fn running(node: &Node, service: &str, pid: u64) -> Result<Self> {
        let read = |name: &str| node.machine.agent().read_text(&format!("/proc/{pid}/{name}"));
        Ok(Self {
            status: pairs(&read("status")?),
            mounts: read("mountinfo")?,
            cgroup: format!("system/{service}"),
        })
    }

    /// A task is over before anybody could look: another program is started as it is.
    fn in_its_place(node: &Node, service: &str) -> Result<Self> {
        let read = |name: &str| -> Result<String> {
            let command = format!("/usr/bin/busybox cat /proc/self/{name}");
            let answer = in_its_place(node, service, &command)?;
            ensure!(answer.status == 0, "{command}: {answer:?}");
            Ok(answer.stdout)
        };
        let status = pairs(&read("status")?);
        Ok(Self { status, mounts: read("mountinfo")?, cgroup: TRIED.to_owned() })
    }
}

fn pairs(status: &str) -> BTreeMap<String, String> {
    let pairs = status.lines().filter_map(|line| line.split_once(':'));
    let one_blank = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    pairs.map(|(key, value)| (key.to_owned(), one_blank(value))).collect()
}

/// Everybody on the node may ask how it is; only root may act.
///
/// # Errors
/// It is otherwise.
pub fn only_root_acts(node: &Node) -> Result<()> {
    let as_nobody = |words: &[&str]| {
        let nobody = ["start-stop-daemon", "-S", "-c", "nobody", "-n", "asks-as-nobody"];
        let program = ["-a", "/usr/bin/kubermesh", "--"];
        let argv = [&["/usr/bin/busybox"][..], &nobody, &program, words].concat();
        node.machine.agent().run(&argv)
    };
    let bird = node.service("bird")?;
    let read = as_nobody(&["status"])?;
    ensure!(read.status == 0 && !read.stdout.is_empty(), "nobody may not read: {read:?}");
    for words in [&["restart", "bird"][..], &["identify"], &["reboot"], &["poweroff"]] {
        let refused = as_nobody(words)?;
        ensure!(
            refused.status == 1 && refused.stderr.contains("this is for root"),
            "{words:?} as nobody: {refused:?}"
        );
    }
    ensure!(node.service("bird")? == bird, "bird was restarted by nobody");
    Ok(())
}

fn page() -> Result<Vec<Row>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/security.md");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let table = text.split_once("<!-- privileges -->").context("no table of privileges")?.1;
    let table = table.split_once("<!-- end of privileges -->").context("no end of the table")?.0;
    table.lines().filter(|line| line.starts_with('|')).skip(2).map(row).collect()
}

fn row(line: &str) -> Result<Row> {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let [service, user, capabilities, system_calls, writable, devices, no_new_privs] = cells[..]
    else {
        anyhow::bail!("docs/security.md: not seven cells: {line}");
    };
    let words = |cell: &str| -> BTreeSet<String> {
        cell.split_whitespace().filter(|word| *word != "–").map(str::to_owned).collect()
    };
    Ok(Row {
        service: service.to_owned(),
        user: user.to_owned(),
        capabilities: words(capabilities),
        system_calls: words(system_calls),
        writable: words(writable),
        devices: words(devices),
        no_new_privs: no_new_privs.to_owned(),
    })
}

/// The purposes of system calls have names in the service's file only. The text of that file.
fn the_file_says_so(node: &Node, row: &Row) -> Result<String> {
    let path = format!("/usr/lib/kubermesh/services/{}.toml", row.service);
    let text = node.machine.agent().read_text(&path)?;
    let names = listed(&text, "system_calls").context("no system_calls")?;
    ensure!(names == row.system_calls, "system calls: {names:?}, the page {:?}", row.system_calls);
    Ok(text)
}

/// The words of a list in a service's file, which has each on one line.
fn listed(file: &str, key: &str) -> Option<BTreeSet<String>> {
    let begin = format!("{key} = [");
    let line = file.lines().find_map(|line| line.strip_prefix(&begin))?;
    let words = line.split(']').next()?.split('"').skip(1).step_by(2);
    Some(words.map(str::to_owned).collect())
}

fn the_kernel_says_so(node: &Node, row: &Row, file: &str, seen: &Seen) -> Result<()> {
    let status = &seen.status;
    ensure!(row.user == "root" && status["Uid"] == "0 0 0 0", "user {}", status["Uid"]);
    let bits = row.capabilities.iter().map(|name| {
        let row = CAPABILITIES.iter().find(|(known, _)| known == name);
        row.map(|(_, number)| 1_u64 << number).with_context(|| format!("no number of {name}"))
    });
    let bits: u64 = bits.sum::<Result<u64>>()?;
    for (key, wanted) in
        [("CapEff", bits), ("CapPrm", bits), ("CapBnd", bits), ("CapInh", 0), ("CapAmb", 0)]
    {
        let found = u64::from_str_radix(&status[key], 16)?;
        ensure!(found == wanted, "{key} is {found:x}, by the page {wanted:x}");
    }
    ensure!(row.no_new_privs == "yes" && status["NoNewPrivs"] == "1", "no_new_privs");
    // 2: by a filter. Two of them: the list, and the one for clone3.
    ensure!(status["Seccomp"] == "2", "Seccomp: {}", status["Seccomp"]);
    ensure!(status["Seccomp_filters"] == "2", "filters: {}", status["Seccomp_filters"]);
    view::is_as_the_page_says(node, row, file, &seen.mounts)?;
    devices(node, row, &seen.cgroup)
}

/// Opens each node of /dev from within the service's cgroup. A device that may not be opened refuses before its
/// driver hears of it; a serial port that may be can wait for a carrier.
fn devices(node: &Node, row: &Row, cgroup: &str) -> Result<()> {
    let script = format!(
        "echo 0 > /sys/fs/cgroup/{cgroup}/cgroup.procs; cd /dev; for name in *; do \
         [ ! -L $name ] && [ -c $name -o -b $name ] || continue; case $name in \
         ttyS*) timeout 5 /usr/bin/busybox dd if=$name of=/dev/null bs=1 count=0;; *) true < $name;; esac 2> /run/said \
         && echo $name; done; true"
    );
    let said = node.run(&["/usr/bin/busybox", "sh", "-c", &script])?;
    let opened: BTreeSet<&str> = said.lines().collect();
    let is_disk = |name: &str| DISKS.iter().any(|disk| name.starts_with(disk));
    let fits = |name: &str, pattern: &str| match pattern.strip_suffix('*') {
        Some(stem) => name.strip_prefix(stem).is_some_and(|rest| rest.parse::<u32>().is_ok()),
        None if pattern == "disks" => is_disk(name),
        None => name == pattern,
    };
    for name in &opened {
        let is_named = row.devices.iter().any(|pattern| fits(name, pattern));
        ensure!(is_named || THE_FIVE.contains(name), "/dev/{name} can be opened: {opened:?}");
    }
    for name in THE_FIVE {
        ensure!(opened.contains(name), "/dev/{name} cannot be opened: {opened:?}");
    }
    for pattern in row.devices.iter().filter(|pattern| THERE.contains(&pattern.as_str())) {
        let is_open = opened.iter().any(|name| fits(name, pattern));
        ensure!(is_open, "no {pattern} can be opened: {opened:?}");
    }
    Ok(())
}

/// linux/capability.h.
const CAPABILITIES: [(&str, u32); 4] =
    [("NET_ADMIN", 12), ("NET_RAW", 13), ("SYS_ADMIN", 21), ("SYSLOG", 34)];
/// Of x86-64.
const MKDIR: u32 = 83;
const THE_FIVE: [&str; 5] = ["full", "null", "random", "urandom", "zero"];
/// Patterns of devices that the machine of this test has.
const THERE: [&str; 4] = ["disks", "kmsg", "tty1", "ttyS*"];
/// What its block devices are called.
const DISKS: [&str; 3] = ["sd", "loop", "sr"];
/// They run once, and not now.
const TASKS: [&str; 3] = ["stop-pods", "storage", "unmount"];
/// A cgroup for what is tried.
const TRIED: &str = "tried";
/// Those of the page's second table, and the agent of the tests.
const STAND_APART: [&str; 4] = ["agent", "containerd", "images", "kubelet"];
