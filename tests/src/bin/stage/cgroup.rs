// SPDX-License-Identifier: Apache-2.0
//! A cgroup v2 of the stage's own, given to root inside; and its limits.
//!
//! A machine may still have the memory and pids controllers in cgroup v1: the limits are then set
//! there, in groups of the same name.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use kubermesh_tests::stage::Plan;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::keep::own;

/// The groups; made by [`Cgroup::make`], gone after [`Cgroup::remove`].
pub(crate) struct Cgroup {
    path: PathBuf,
    /// Where the limits are set, in v1.
    old: Vec<PathBuf>,
    /// /proc/self/cgroup of the keeper.
    before: String,
}

/// What root inside may write in a delegated group, cgroups(7).
const DELEGATED: [&str; 3] = ["cgroup.procs", "cgroup.threads", "cgroup.subtree_control"];

/// What is killed is gone within milliseconds; storage that hangs may take longer.
const GONE_WITHIN: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

impl Cgroup {
    pub(crate) fn make(plan: &Plan) -> Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let unified = mounted(&mounts, "cgroup2", "").context("no cgroup v2 is mounted here")?;
        let name = format!("kubermesh-stage-{}", std::process::id());
        let before = fs::read_to_string("/proc/self/cgroup")?;
        let cgroup = Self { path: unified.join(&name), old: Vec::new(), before };
        cgroup.limit(plan, &mounts, &unified, &name)
    }

    fn limit(mut self, plan: &Plan, mounts: &str, unified: &Path, name: &str) -> Result<Self> {
        let limits = [
            ("memory", plan.memory_max, "memory.max", "memory.limit_in_bytes"),
            ("pids", plan.pids_max, "pids.max", "pids.max"),
        ];
        let has = fs::read_to_string(unified.join("cgroup.controllers")).unwrap_or_default();
        for (controller, limit, new_file, old_file) in limits {
            let is_new = has.split_whitespace().any(|one| one == controller);
            if is_new {
                // Services have limits of their own inside: given on even where the test wants none.
                let control = unified.join("cgroup.subtree_control");
                fs::write(&control, format!("+{controller}"))
                    .with_context(|| format!("give {controller} on in {}", control.display()))?;
            }
            fs::create_dir_all(&self.path)?;
            let Some(limit) = limit else { continue };
            let (folder, file) = if is_new {
                (self.path.clone(), new_file)
            } else {
                let root = mounted(mounts, "cgroup", controller)
                    .with_context(|| format!("this machine has no {controller} controller"))?;
                let folder = root.join(name);
                fs::create_dir(&folder)?;
                self.old.push(folder.clone());
                (folder, old_file)
            };
            fs::write(folder.join(file), limit.to_string())
                .with_context(|| format!("limit {controller} to {limit}"))?;
        }
        if plan.memory_max.is_some() {
            // A kernel without swap has no such file.
            let _ = fs::write(self.path.join("memory.swap.max"), "0");
        }
        own(&self.path)?;
        DELEGATED.iter().try_for_each(|file| own(&self.path.join(file)))?;
        Ok(self)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts a process in.
    pub(crate) fn enter(&self, pid: u32) -> Result<()> {
        for folder in self.old.iter().chain([&self.path]) {
            fs::write(folder.join("cgroup.procs"), pid.to_string())
                .with_context(|| format!("enter {}", folder.display()))?;
        }
        Ok(())
    }

    /// Puts it back to where the keeper is: a group with a process of its own gives no controller on.
    pub(crate) fn leave(&self, pid: u32) -> Result<()> {
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        for line in self.before.lines() {
            let mut parts = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
            let kind = if controllers.is_empty() { "cgroup2" } else { "cgroup" };
            let Some(root) = mounted(&mounts, kind, controllers) else { continue };
            if !self.old.iter().chain([&self.path]).any(|entered| entered.starts_with(&root)) {
                continue;
            }
            let folder = root.join(path.trim_start_matches('/'));
            fs::write(folder.join("cgroup.procs"), pid.to_string())
                .with_context(|| format!("leave for {}", folder.display()))?;
        }
        Ok(())
    }

    /// Kills all that is in it and removes it.
    pub(crate) fn remove(&self) -> Result<()> {
        fs::write(self.path.join("cgroup.kill"), "1")?;
        let events = fs::File::open(self.path.join("cgroup.events"))?;
        loop {
            // Read by the very descriptor that is polled: that is what "changed" refers to.
            let mut bytes = [0; 256];
            let read = events.read_at(&mut bytes, 0)?;
            if String::from_utf8_lossy(bytes.get(..read).unwrap_or_default())
                .contains("populated 0")
            {
                break;
            }
            let changed = poll(&mut [PollFd::new(&events, PollFlags::PRI)], Some(&GONE_WITHIN))?;
            if changed == 0 {
                bail!("{} still has processes", self.path.display());
            }
        }
        remove_tree(&self.path)?;
        self.old.iter().try_for_each(|folder| remove_tree(folder))
    }
}

/// The folder where this hierarchy is mounted: kind, and for v1 a controller of it.
fn mounted(mounts: &str, kind: &str, controllers: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (place, filesystem) = line.split_once(" - ")?;
        let mut words = filesystem.split(' ');
        let is_kind = words.next() == Some(kind);
        let has = |options: &str| {
            controllers.split(',').all(|one| options.split(',').any(|it| it == one))
        };
        let fits = is_kind && (controllers.is_empty() || words.nth(1).is_some_and(has));
        fits.then(|| place.split(' ').nth(4).map(PathBuf::from)).flatten()
    })
}

/// Deepest first; files of a cgroup go with their folder.
fn remove_tree(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(folder).with_context(|| format!("remove {}", folder.display()))
}
