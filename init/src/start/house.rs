// SPDX-License-Identifier: Apache-2.0
//! Makes the house in which services live: file systems, folders, files, settings, cgroups.
//!
//! Nothing here ends the boot: what could not be done is told, and the node comes up with what it can.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use kubermesh_node::service::Catalog;
use rustix::process::{Resource, Rlimit};

use super::mounts::{self, MountError};
pub(crate) use super::settings::MODULES;
use super::settings::{CONTROLLERS, FILES, FOLDERS, LINKS, SYSCTLS};

/// What could not be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HouseError {
    #[error(transparent)]
    Mount(#[from] MountError),
    #[error("{attempt} {path}")]
    File { attempt: &'static str, path: PathBuf, source: std::io::Error },
}

/// Where the image keeps what /etc starts as.
const ETC_TEMPLATE: &str = "/usr/lib/kubermesh/etc";

/// Open files of PID 1 and, inherited, of all services: containerd and etcd ask for many.
const OPEN_FILES: u64 = 1_048_576;

/// PID 1 has about a megabyte; its modprobe's and what the kernel keeps for both are more.
const OWN_MEMORY: u64 = 8 << 20;

/// Makes the house; the answer is all that went wrong.
pub(crate) fn make() -> Vec<HouseError> {
    let mut refused: Vec<HouseError> = mounts::rest().into_iter().map(HouseError::from).collect();
    let mut note = |attempt, path: &Path, done: std::io::Result<()>| {
        if let Err(source) = done {
            refused.push(HouseError::File { attempt, path: path.to_owned(), source });
        }
    };
    for (path, mode) in FOLDERS {
        note("make", Path::new(path), DirBuilder::new().recursive(true).mode(*mode).create(path));
    }
    for (path, text) in FILES {
        note("write", Path::new(path), std::fs::write(path, text));
    }
    note("copy", Path::new(ETC_TEMPLATE), copy_tree(Path::new(ETC_TEMPLATE), Path::new("/etc")));
    for (link, target) in LINKS {
        note("link", Path::new(link), link_once(target, link));
    }
    for (name, value) in SYSCTLS {
        let path = Path::new("/proc/sys").join(name);
        match std::fs::write(&path, value) {
            // A kernel built without it has nothing to set.
            Err(refusal) if refusal.kind() == std::io::ErrorKind::NotFound => {}
            done => note("set", &path, done),
        }
    }
    make_cgroups(&mut note);
    raise_limits();
    refused
}

/// Keeps memory for the groups above those that keep some: a group has at most what its parent has.
pub(crate) fn protect(catalog: &Catalog) -> Vec<HouseError> {
    let root = Path::new("/sys/fs/cgroup");
    let specs = catalog.iter().map(|(_, spec)| &spec.resources);
    let mut sums =
        sums_of_parents(specs.filter_map(|own| Some((own.cgroup.as_deref()?, own.memory_min.0))));
    sums.insert("init".to_owned(), OWN_MEMORY);
    let write = |(group, bytes): (String, u64)| {
        let path = root.join(group).join("memory.min");
        let done = std::fs::write(&path, bytes.to_string());
        done.err().map(|source| HouseError::File { attempt: "set", path, source })
    };
    sums.into_iter().filter_map(write).collect()
}

fn sums_of_parents<'a>(groups: impl Iterator<Item = (&'a str, u64)>) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for (group, bytes) in groups.filter(|(_, bytes)| *bytes > 0) {
        let above = Path::new(group).ancestors().skip(1).filter_map(Path::to_str);
        for parent in above.filter(|parent| !parent.is_empty()) {
            let sum: &mut u64 = sums.entry(parent.to_owned()).or_default();
            *sum = sum.saturating_add(bytes);
        }
    }
    sums
}

fn make_cgroups(note: &mut impl FnMut(&'static str, &Path, std::io::Result<()>)) {
    let root = Path::new("/sys/fs/cgroup");
    for folder in ["init", "system", "podruntime"] {
        note("make", &root.join(folder), std::fs::create_dir_all(root.join(folder)));
    }
    // Controllers cannot be enabled below a group that has processes: PID 1 moves out first.
    note("enter", &root.join("init"), std::fs::write(root.join("init/cgroup.procs"), "1"));
    for folder in ["", "system", "podruntime"] {
        let control = root.join(folder).join("cgroup.subtree_control");
        for controller in CONTROLLERS {
            note("delegate", &control, std::fs::write(&control, controller));
        }
    }
    note("protect", Path::new("/proc/1"), std::fs::write("/proc/self/oom_score_adj", "-1000"));
}

fn raise_limits() {
    let limit = Rlimit { current: Some(OPEN_FILES), maximum: Some(OPEN_FILES) };
    // Refused only by a kernel whose fs.nr_open is lower; then its own limit holds.
    let _ = rustix::process::setrlimit(Resource::Nofile, limit);
}

fn link_once(target: &str, link: &str) -> std::io::Result<()> {
    match symlink(target, link) {
        Err(refusal) if refusal.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        done => done,
    }
}

/// Copies what is below `from`: plain files are readable by all, folders open.
fn copy_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            std::fs::create_dir_all(&target)?;
            copy_tree(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), &target)?;
            std::fs::set_permissions(&target, Permissions::from_mode(0o644))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_has_what_its_groups_have_together() {
        let groups = [
            ("podruntime/containerd", 200),
            ("podruntime/kubelet", 96),
            ("system/a/b", 1),
            ("c", 7),
            ("d/e", 0),
        ];
        let sums = sums_of_parents(groups.into_iter());
        let wanted = [("podruntime", 296), ("system", 1), ("system/a", 1)];
        assert_eq!(sums, wanted.map(|(group, bytes)| (group.to_owned(), bytes)).into());
    }
}
