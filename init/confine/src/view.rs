// SPDX-License-Identifier: Apache-2.0
//! What a service sees of the node: the image, and what its file names; nothing else is there.
//!
//! ```text
//! /         the image, read-only            /run, and /etc where a path there is named: an empty
//! /proc     read-only                       folder with the named paths in it, read-only
//! /dev      read-only; which devices of it may be opened is `devices`' part
//! ```
//!
//! Mounts are private to it, so that no service holds a file system that the node unmounts, a pod's
//! or a stick's. Only the folders that it `follows` hear of the node's later mounts.

use std::fs::File;
use std::path::{Path, PathBuf};

use kubermesh_node::service::Privileges;
use nix::sched::CloneFlags;
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

/// Why it could not be given its view.
#[derive(Debug, thiserror::Error)]
#[error("make its view: {attempt} {}", .path.display())]
pub struct ViewError {
    attempt: &'static str,
    path: PathBuf,
    source: Errno,
}

/// Whether a path may be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Right {
    Read,
    Write,
}

/// Leaves the node's mounts for a view of its own.
pub(crate) fn enter(privileges: &Privileges) -> Result<(), ViewError> {
    let root = Path::new("/");
    let refused = |source: nix::Error| Errno::from_raw_os_error(source as i32);
    nix::sched::unshare(CloneFlags::CLONE_NEWNS)
        .map_err(|source| failed("leave the node's mounts at", root, refused(source)))?;
    // Slaves: what is mounted here never shows there.
    change("make slave", root, MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?;
    let view = View::begin()?;
    let mut paths = wanted(privileges);
    // A folder before what lies in it.
    paths.sort();
    let mut made = Vec::new();
    for (path, right) in &paths {
        view.make_room(path, &mut made)?;
        view.show(path, *right)?;
    }
    for path in &privileges.follows {
        view.follow(Path::new(path))?;
    }
    for folder in &made {
        restrict(folder, NO_DEVICES.union(MountFlags::RDONLY))?;
    }
    if privileges.follows.is_empty() {
        change("make private", &view.at, MountPropagationFlags::PRIVATE)?;
    }
    view.become_root()
}

/// All paths, with those that every service sees.
fn wanted(privileges: &Privileges) -> Vec<(PathBuf, Right)> {
    let all = |paths: &[String], right| -> Vec<(PathBuf, Right)> {
        paths.iter().map(|path| (PathBuf::from(path), right)).collect()
    };
    let mut paths = all(&privileges.writes, Right::Write);
    paths.extend(all(&privileges.sees, Right::Read));
    // A desk has no PID 1 of ours: there these two are not.
    let own = EVERY_SERVICES.into_iter().map(PathBuf::from);
    let own: Vec<PathBuf> =
        own.filter(|path| path.exists() && paths.iter().all(|(named, _)| named != path)).collect();
    paths.extend(own.into_iter().map(|path| (path, Right::Read)));
    paths
}

struct View {
    /// Where it is built, in a namespace that nobody else has.
    at: PathBuf,
}

impl View {
    fn begin() -> Result<Self, ViewError> {
        let view = Self { at: PathBuf::from(BUILT_AT) };
        bind(Path::new("/"), &view.at)?;
        restrict(&view.at, NOT_EXECUTED_AS_OTHERS.union(MountFlags::RDONLY))?;
        Ok(view)
    }

    fn place(&self, path: &Path) -> PathBuf {
        self.at.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Makes the place of a path, in an empty folder in memory where the image has none.
    fn make_room(&self, path: &Path, made: &mut Vec<PathBuf>) -> Result<(), ViewError> {
        let place = self.place(path);
        let top: PathBuf = path.components().take(2).collect();
        let top = self.place(&top);
        let is_alone = top == place;
        if !is_alone && !made.contains(&top) && (!place.exists() || path.starts_with("/run")) {
            let options = Some(c"mode=0755,size=64k");
            rustix::mount::mount("tmpfs", &top, "tmpfs", NO_DEVICES, options)
                .map_err(|source| failed("mount a tmpfs on", &top, source))?;
            made.push(top);
        }
        if place.exists() {
            return Ok(());
        }
        let done = if path.is_dir() || !path.exists() {
            std::fs::create_dir_all(&place)
        } else {
            let folder = place.parent().unwrap_or(&place);
            std::fs::create_dir_all(folder).and_then(|()| File::create(&place)).map(drop)
        };
        done.map_err(|refusal| failed("make", &place, errno(&refusal)))
    }

    fn show(&self, path: &Path, right: Right) -> Result<(), ViewError> {
        if right == Right::Write && !path.exists() {
            std::fs::create_dir_all(path)
                .map_err(|refusal| failed("make", path, errno(&refusal)))?;
        }
        let place = self.place(path);
        bind(path, &place)?;
        // A device is opened through its node, whatever the mount says of writing.
        let flags = if path == Path::new("/dev") { NOT_EXECUTED } else { NO_DEVICES };
        match right {
            Right::Read => restrict(&place, flags.union(MountFlags::RDONLY))?,
            Right::Write => restrict(&place, flags)?,
        }
        change("make private", &place, MountPropagationFlags::PRIVATE)
    }

    /// Takes along what is mounted there already; what comes later comes by itself, the view's root
    /// being a slave of the node's.
    fn follow(&self, path: &Path) -> Result<(), ViewError> {
        let device = |path: &Path| rustix::fs::stat(path).map(|found| found.st_dev);
        let ask = |path: &Path| device(path).map_err(|source| failed("look at", path, source));
        if ask(path)? == ask(Path::new("/"))? {
            return Ok(());
        }
        bind(path, &self.place(path))
    }

    /// pivot_root(2), with its own example of a root that is left at once.
    fn become_root(&self) -> Result<(), ViewError> {
        let step = |attempt| move |source| failed(attempt, &self.at, source);
        rustix::process::chdir(&self.at).map_err(step("enter"))?;
        rustix::process::pivot_root(".", ".").map_err(step("make the root of"))?;
        rustix::mount::unmount(".", UnmountFlags::DETACH).map_err(step("leave the old root of"))?;
        rustix::process::chdir("/").map_err(step("enter"))
    }
}

fn bind(from: &Path, to: &Path) -> Result<(), ViewError> {
    rustix::mount::mount_bind(from, to).map_err(|source| failed("show", from, source))
}

fn restrict(path: &Path, flags: MountFlags) -> Result<(), ViewError> {
    rustix::mount::mount_remount(path, MountFlags::BIND.union(flags), c"")
        .map_err(|source| failed("restrict", path, source))
}

fn change(
    attempt: &'static str,
    path: &Path,
    flags: MountPropagationFlags,
) -> Result<(), ViewError> {
    rustix::mount::mount_change(path, flags).map_err(|source| failed(attempt, path, source))
}

fn failed(attempt: &'static str, path: &Path, source: Errno) -> ViewError {
    ViewError { attempt, path: path.to_owned(), source }
}

fn errno(refusal: &std::io::Error) -> Errno {
    Errno::from_io_error(refusal).unwrap_or(Errno::IO)
}

/// A folder of the image, and of any desk, on which nothing is mounted.
const BUILT_AT: &str = "/boot";
/// To read, to say that it is up, and to log.
const EVERY_SERVICES: [&str; 4] =
    ["/proc", "/dev", "/run/kubermesh/notify", "/run/systemd/journal"];
const NOT_EXECUTED_AS_OTHERS: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);
const NOT_EXECUTED: MountFlags = MountFlags::NOSUID.union(MountFlags::NOEXEC);
/// Nor executed: what a service writes it cannot run.
const NO_DEVICES: MountFlags = NOT_EXECUTED.union(MountFlags::NODEV);
