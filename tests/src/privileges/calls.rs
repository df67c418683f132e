// SPDX-License-Identifier: Apache-2.0
//! Which system calls a service may make: one of each kind is made in its place, and the kernel's answers are
//! compared with the page's column.
//!
//! Not tried: `lights`, whose requests no device but a HID would understand.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use super::{Row, in_its_place};
use crate::Node;

/// Every call fails with EPERM unless the page names its purpose, and does not where it does.
pub(super) fn are_as_the_page_says(node: &Node, row: &Row) -> Result<()> {
    for purpose in &row.system_calls {
        let is_tried = purpose == "lights" || CALLS.iter().any(|(_, of, _)| of == purpose);
        ensure!(is_tried, "no call of the purpose {purpose} is tried");
    }
    let said = in_its_place(node, &row.service, "/usr/bin/kubermesh-agent attempt")?;
    ensure!(said.status == 0, "the calls were not tried: {said:?}");
    let lines = said.stdout.lines().filter_map(|line| line.split_once(' '));
    let answers: BTreeMap<&str, &str> = lines.collect();
    for (call, purpose, allowed) in CALLS {
        let answer =
            answers.get(call).with_context(|| format!("{call} was not tried: {said:?}"))?;
        let wanted = if row.system_calls.contains(purpose) { allowed } else { "EPERM" };
        ensure!(*answer == wanted, "{call} ({purpose}): {answer}, by the page {wanted}");
    }
    ensure!(answers.len() == CALLS.len(), "more was tried: {answers:?}");
    Ok(())
}

/// The calls of `kubermesh-agent attempt`, the purpose of each, and the kernel's answer to who may make it.
const CALLS: [(&str, &str, &str); 11] = [
    ("mkdir", "files", "ENOENT"),
    ("inotify", "watching", "ok"),
    ("unix", "unix", "ok"),
    ("inet", "internet", "ok"),
    ("inet6", "internet", "ok"),
    ("netlink", "netlink", "ok"),
    ("terminal", "terminals", "ENOTTY"),
    ("disk", "disks", "ENOTTY"),
    ("program", "programs", "ok"),
    ("mount-nowhere", "mounts", "ENOENT"),
    ("mount", "mounts", "ok"),
];
