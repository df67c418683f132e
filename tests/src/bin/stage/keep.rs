// SPDX-License-Identifier: Apache-2.0
//! The keeper: root of this machine. Makes what root must make, and clears it up at the end.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use kubermesh_tests::stage::{FIRST_USER, Opened, Plan, USERS};
use rustix::event::{PollFd, PollFlags, poll};

use crate::cgroup::Cgroup;
use crate::{read_line, say, socket};

/// Keeps a stage until the test or its PID 1 ends.
pub(crate) fn keep() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("a stage needs root: namespaces, a cgroup and an init of its own");
    }
    let mut test = socket()?;
    // A test's plan holds whole files: read in large pieces, nothing follows it before the answer.
    let mut line = String::new();
    BufReader::with_capacity(1 << 16, &mut test).read_line(&mut line).context("read the plan")?;
    let plan: Plan = serde_json::from_str(&line)?;
    let folder = tempfile::Builder::new().prefix("kubermesh-stage-").tempdir()?;
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755))?;
    let log = folder.path().join("kmsg");
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &log, kind, rustix::fs::Mode::from_raw_mode(0o600), 0)?;
    own(&log)?;
    std::fs::create_dir(folder.path().join("root"))?;
    let cgroup = Cgroup::make(&plan)?;
    let mut enter = Enter::start(folder.path(), &cgroup, &plan)?;
    let done = accompany(&mut enter, &mut test, &cgroup, &log);
    cgroup.remove()?;
    enter.child.wait()?;
    folder.close()?;
    done
}

/// Until the test or the stage ends.
fn accompany(enter: &mut Enter, test: &mut UnixStream, cgroup: &Cgroup, log: &Path) -> Result<()> {
    let (mut set, mut stands) = (None, false);
    loop {
        let line = match enter.next(test)? {
            Heard::TestEnded => return Ok(()),
            Heard::EnterEnded => break,
            Heard::Line(line) => line,
        };
        if line == "unshared" {
            enter.map_users()?;
            continue;
        }
        if line == "stands" {
            stands = true;
        } else {
            let opened: Opened = serde_json::from_str(&line)?;
            let Opened::Set { pid, .. } = opened else {
                // A test that has gone already does not want to know.
                let _ = say(test, &opened);
                continue;
            };
            set = Some(pid);
        }
        let Some(pid) = set.filter(|_| stands) else { continue };
        let (cgroup_path, kernel_log) = (cgroup.path().to_owned(), log.to_owned());
        say(test, &Opened::Set { pid, cgroup: cgroup_path, kernel_log })?;
        // The test reads the kernel's log from now on.
        let Some(go) = read_line(test)? else { return Ok(()) };
        prepare_first(pid);
        cgroup.leave(enter.child.id())?;
        enter.socket.write_all(format!("{go}\n").as_bytes())?;
        say(test, &Opened::Runs)?;
    }
    poll(&mut [PollFd::from_borrowed_fd(test.as_fd(), PollFlags::IN)], None)?;
    Ok(())
}

/// The child in the namespaces.
struct Enter {
    child: std::process::Child,
    socket: UnixStream,
}

enum Heard {
    Line(String),
    EnterEnded,
    TestEnded,
}

impl Enter {
    fn start(folder: &Path, cgroup: &Cgroup, plan: &Plan) -> Result<Self> {
        let (mut ours, theirs) = UnixStream::pair()?;
        let child = Command::new("/proc/self/exe")
            .arg("enter")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()
            .context("start kubermesh-stage enter")?;
        cgroup.enter(child.id())?;
        let mut line = serde_json::to_vec(&(folder, plan))?;
        line.push(b'\n');
        ours.write_all(&line)?;
        Ok(Self { child, socket: ours })
    }

    fn next(&mut self, test: &UnixStream) -> Result<Heard> {
        let mut both = [
            PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(test.as_fd(), PollFlags::IN),
        ];
        poll(&mut both, None)?;
        let [from_enter, _] = both.map(|one| !one.revents().is_empty());
        if !from_enter {
            return Ok(Heard::TestEnded);
        }
        Ok(read_line(&mut self.socket)?.map_or(Heard::EnterEnded, Heard::Line))
    }

    fn map_users(&mut self) -> Result<()> {
        let line = format!("0 {FIRST_USER} {USERS}");
        for map in ["uid_map", "gid_map"] {
            let path = format!("/proc/{}/{map}", self.child.id());
            std::fs::write(&path, &line).with_context(|| format!("write {path}"))?;
        }
        self.socket.write_all(b"mapped\n")?;
        Ok(())
    }
}

/// As on a node: services may then be anything from -1000 up. Who builds in a container may not be
/// allowed to (CAP_SYS_RESOURCE): scores below 0 are refused then, and the service says so.
fn prepare_first(pid: u32) {
    let _ = std::fs::write(format!("/proc/{pid}/oom_score_adj"), "-1000");
}

/// Gives a file to root inside.
pub(crate) fn own(path: &Path) -> Result<()> {
    std::os::unix::fs::chown(path, Some(FIRST_USER), Some(FIRST_USER))
        .with_context(|| format!("give {} to root inside", path.display()))
}
