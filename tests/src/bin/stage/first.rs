// SPDX-License-Identifier: Apache-2.0
//! PID 1 of the stage, until it executes the init under test: mounts, and the old root is gone.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::mount::{MountFlags, UnmountFlags};
use rustix::process::Signal;

use crate::{read_line, socket};

/// Comes back only when something failed.
pub(crate) fn first(root: &Path, command: &[&str]) -> Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let mut keeper = socket()?;
    // Who traces this process from here on sees nothing of how it was set up.
    keeper.write_all(b"stands\n")?;
    ensure!(read_line(&mut keeper)?.as_deref() == Some("go"), "nobody says go");
    let safe = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    // Before the old ones are gone: the kernel lets a user namespace have these only where it sees them.
    rustix::mount::mount("proc", root.join("proc"), "proc", safe, None).context("mount /proc")?;
    rustix::mount::mount("sysfs", root.join("sys"), "sysfs", safe, None).context("mount /sys")?;
    let run = c"mode=0755";
    rustix::mount::mount("tmpfs", root.join("run"), "tmpfs", safe, run).context("mount /run")?;
    rustix::mount::mount_bind(root.join("cmdline"), root.join("proc/cmdline"))
        .context("bind /proc/cmdline")?;
    enter_root(root)?;
    rustix::system::sethostname(b"stage")?;
    let (program, arguments) = command.split_first().context("no command")?;
    // As the kernel gives them to its init, but for the console.
    let refusal = Command::new(program)
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .exec();
    Err(refusal).with_context(|| format!("execute {program} inside"))
}

/// pivot_root(2), the form without a folder for the old root.
fn enter_root(root: &Path) -> Result<()> {
    rustix::process::chdir(root)?;
    rustix::process::pivot_root(".", ".").context("pivot the root")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).context("leave the old root")?;
    rustix::process::chdir("/")?;
    // An init under test must never see what is this machine's.
    let seen = std::fs::read_dir("/")?.count();
    let is_ours = Path::new("/cmdline").exists() && Path::new("/dev/kmsg").exists();
    ensure!(is_ours && !Path::new("/boot").exists(), "the root is not private: {seen} names in it");
    Ok(())
}
