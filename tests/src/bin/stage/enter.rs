// SPDX-License-Identifier: Apache-2.0
//! Goes into the namespaces, fills the root, starts PID 1 and waits for its end.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use kubermesh_tests::stage::{Opened, Plan};
use nix::sched::{CloneFlags, unshare};
use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::process::Signal;
use rustix::thread::{Gid, Uid};

use crate::{read_line, say, socket};

/// What a program finds in /dev; each is this machine's own.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Folders that are mounted on, or expected.
const FOLDERS: [&str; 14] = [
    "dev",
    "proc",
    "sys",
    "run",
    "tmp",
    "etc",
    "var",
    "opt/cni/bin",
    "usr/bin",
    "usr/sbin",
    "usr/lib/kubermesh",
    "root",
    "mnt",
    "home",
];

/// Sets the stage.
pub(crate) fn enter() -> Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let mut keeper = socket()?;
    let line = read_line(&mut keeper)?.context("no plan")?;
    let (folder, plan): (PathBuf, Plan) = serde_json::from_str(&line)?;
    // While this is root of the machine it can read them all.
    let programs = open(&plan)?;
    unshare(CloneFlags::CLONE_NEWUSER)
        .context("make a user namespace: does this kernel let users have their own?")?;
    keeper.write_all(b"unshared\n")?;
    ensure!(read_line(&mut keeper)?.as_deref() == Some("mapped"), "nobody maps the users");
    become_root_inside()?;
    // After that: what is in /sys of a network namespace belongs to the root that was known then.
    let others = CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWCGROUP;
    unshare(others).context("make the other namespaces")?;
    // That cleared it, prctl(2).
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let root = folder.join("root");
    fill(&root, &folder, &plan, programs)?;
    let mut first = Command::new("/proc/self/exe")
        .arg("first")
        .arg(&root)
        .args(&plan.command)
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(keeper.try_clone()?)))
        .spawn()
        .context("start kubermesh-stage first")?;
    let (pid, nowhere) = (first.id(), PathBuf::new());
    say(&mut keeper, &Opened::Set { pid, cgroup: nowhere.clone(), kernel_log: nowhere })?;
    let end = first.wait()?;
    say(&mut keeper, &Opened::Ended { status: end.code(), signal: end.signal() })
}

fn open(plan: &Plan) -> Result<Vec<(File, PathBuf)>> {
    let one = |(here, inside): &(PathBuf, PathBuf)| {
        let file = File::open(here).with_context(|| format!("open {}", here.display()))?;
        Ok((file, inside.clone()))
    };
    plan.programs.iter().map(one).collect()
}

fn become_root_inside() -> Result<()> {
    let (user, group) = (Uid::ROOT, Gid::ROOT);
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(group, group, group)?;
    rustix::thread::set_thread_res_uid(user, user, user).context("become root inside")
}

fn fill(root: &Path, folder: &Path, plan: &Plan, programs: Vec<(File, PathBuf)>) -> Result<()> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).context("make the mounts private")?;
    let (none, options) = (MountFlags::empty(), c"mode=0755,size=1g");
    rustix::mount::mount("tmpfs", root, "tmpfs", none, options).context("mount the root")?;
    for name in FOLDERS {
        fs::create_dir_all(root.join(name))?;
    }
    for name in DEVICES {
        bind(&Path::new("/dev").join(name), &root.join("dev").join(name))?;
    }
    bind(&folder.join("kmsg"), &root.join("dev/kmsg"))?;
    fs::write(root.join("cmdline"), format!("{}\n", plan.kernel_command_line))?;
    for file in &plan.files {
        let mut written = make(root, &file.path, file.mode)?;
        written.write_all(&file.bytes)?;
    }
    for (mut from, inside) in programs {
        std::io::copy(&mut from, &mut make(root, &inside, 0o755)?)?;
    }
    for (path, target) in &plan.links {
        let path = beneath(root, path)?;
        symlink(target, &path).with_context(|| format!("link {}", path.display()))?;
    }
    Ok(())
}

fn bind(here: &Path, inside: &Path) -> Result<()> {
    File::create(inside)?;
    rustix::mount::mount_bind(here, inside).with_context(|| format!("bind {}", here.display()))
}

fn make(root: &Path, inside: &Path, mode: u32) -> Result<File> {
    let path = beneath(root, inside)?;
    let file = File::create(&path).with_context(|| format!("make {}", path.display()))?;
    file.set_permissions(PermissionsExt::from_mode(mode))?;
    Ok(file)
}

/// The path below the root, with its folders made.
fn beneath(root: &Path, inside: &Path) -> Result<PathBuf> {
    let inside = inside.strip_prefix("/").context("a path inside begins with /")?;
    let path = root.join(inside);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(path)
}
