// SPDX-License-Identifier: Apache-2.0
//! What a confined service sees, by its mounts: what it may write, against the page, and what is there at all, against
//! its file, the page naming only the writable part.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};

use super::{Row, listed};
use crate::Node;

/// Compares the mounts of a service, the text of its `mountinfo`, with the page and its file.
pub(super) fn is_as_the_page_says(node: &Node, row: &Row, file: &str, mounts: &str) -> Result<()> {
    let of_node = node.machine.agent().read_text("/proc/1/mountinfo")?;
    let everything = BTreeSet::from(["everything".to_owned()]);
    if mounts == of_node {
        ensure!(row.writable == everything, "everything is writable");
        return Ok(());
    }
    let (seen, of_node) = (parse(mounts)?, parse(&of_node)?);
    let writable = seen.iter().filter(|mount| mount.is_writable);
    let writable: BTreeSet<String> = writable.map(|mount| mount.point.clone()).collect();
    ensure!(writable == row.writable, "writable is {writable:?}, by the page {:?}", row.writable);
    nothing_else_is_there(&seen, &of_node, file)
}

/// Nothing is mounted but what its file names, and the places of those are in rooms that the node does not have.
fn nothing_else_is_there(seen: &[Mount], of_node: &[Mount], file: &str) -> Result<()> {
    let named = ["sees", "writes", "follows"].map(|key| listed(file, key).unwrap_or_default());
    let named: BTreeSet<String> = named.into_iter().flatten().collect();
    let is_room = |point: &str| ROOMS.contains(&point) && !named.contains(point);
    let points: BTreeSet<&str> = seen.iter().map(|mount| mount.point.as_str()).collect();
    let every = EVERY_SERVICES.into_iter().chain(named.iter().map(String::as_str));
    let wanted: BTreeSet<&str> = every.collect();
    let extra: Vec<&&str> = points.difference(&wanted).filter(|point| !is_room(point)).collect();
    ensure!(extra.is_empty(), "it sees {extra:?}, which its file does not name");
    let missing: Vec<&&str> = wanted.difference(&points).collect();
    ensure!(missing.is_empty(), "it does not see {missing:?}");
    for room in seen.iter().filter(|mount| is_room(&mount.point)) {
        let is_nodes = of_node.iter().any(|mount| mount.device == room.device);
        ensure!(!is_nodes, "{} is the node's own", room.point);
    }
    Ok(())
}

/// A line of proc_pid_mountinfo(5).
#[derive(Debug)]
struct Mount {
    point: String,
    /// Of the file system: major and minor number.
    device: String,
    is_writable: bool,
}

fn parse(mounts: &str) -> Result<Vec<Mount>> {
    let one = |line: &str| -> Result<Mount> {
        let fields: Vec<&str> = line.split(' ').collect();
        let field = |at: usize| fields.get(at).copied().with_context(|| format!("torn: {line}"));
        let is_writable = field(5)?.split(',').any(|option| option == "rw");
        Ok(Mount { point: field(4)?.to_owned(), device: field(2)?.to_owned(), is_writable })
    };
    mounts.lines().map(one).collect()
}

/// The image and what every service sees beside it.
const EVERY_SERVICES: [&str; 5] =
    ["/", "/dev", "/proc", "/run/kubermesh/notify", "/run/systemd/journal"];
/// Where the image has no place for a path it lies in a folder in memory, which is the service's own.
const ROOMS: [&str; 4] = ["/etc", "/run", "/state", "/var"];
