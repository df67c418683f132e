// SPDX-License-Identifier: Apache-2.0
//! What an actor does.

use std::fs::File;
use std::io::{IoSlice, Read, Result, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use rustix::mount::{MountFlags, UnmountFlags};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use rustix::time::ClockId;

/// Between two looks for a file: an actor must not keep the machine busy.
const PAUSE: Duration = Duration::from_millis(5);

pub(crate) fn await_file(path: &str) -> Result<()> {
    while !Path::new(path).try_exists()? {
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

pub(crate) fn stamp(path: &str) -> Result<()> {
    let now = rustix::time::clock_gettime(ClockId::Monotonic);
    let nanoseconds = now.tv_sec * 1_000_000_000 + now.tv_nsec;
    add_line(path, &format!("{nanoseconds} {}", std::process::id()))
}

/// One write: lines of several actors do not mix.
pub(crate) fn add_line(path: &str, line: &str) -> Result<()> {
    let mut file = File::options().append(true).create(true).open(path)?;
    file.write_all(format!("{line}\n").as_bytes())
}

/// What stands behind the last `play:` of this program's own file.
pub(crate) fn added_words() -> Result<Vec<String>> {
    let own = std::fs::read("/proc/self/exe")?;
    let text = String::from_utf8_lossy(&own);
    let (_, words) = text.rsplit_once("play:").unwrap_or_default();
    Ok(words.split_whitespace().map(str::to_owned).collect())
}

pub(crate) fn report(path: &str) -> Result<()> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let wanted = ["SigBlk:", "SigIgn:", "SigCgt:", "Umask:", "Groups:", "NoNewPrivs:", "Seccomp:"];
    let mut lines: Vec<String> = status
        .lines()
        .filter(|line| wanted.iter().any(|name| line.starts_with(name)))
        .map(str::to_owned)
        .collect();
    let mut descriptors = Vec::new();
    for number in 0..4096 {
        if let Ok(target) = std::fs::read_link(format!("/proc/self/fd/{number}")) {
            descriptors.push(format!("fd {number} {}", target.display()));
        }
    }
    lines.extend(descriptors);
    for file in ["oom_score_adj", "cgroup"] {
        let text = std::fs::read_to_string(format!("/proc/self/{file}"))?;
        lines.push(format!("{file} {}", text.trim()));
    }
    let own = rustix::process::getpid().as_raw_pid();
    let session = rustix::process::getsid(None)?.as_raw_pid();
    lines.push(format!("leads its session {}", own == session));
    lines.push(format!("folder {}", std::env::current_dir()?.display()));
    for (key, value) in std::env::vars() {
        lines.push(format!("env {key}={value}"));
    }
    // Whole or not at all: a test reads it as soon as it is there.
    let draft = format!("{path}.draft");
    std::fs::write(&draft, lines.join("\n"))?;
    std::fs::rename(draft, path)
}

/// Not by way of /proc/self/exe: whose entry in /proc was looked at costs the kernel twice as much to let go of.
pub(crate) fn start(words: &[String]) -> Result<()> {
    Command::new(std::env::current_exe()?).args(words).spawn().map(drop)
}

/// TERM, INT, HUP and QUIT are blocked: only SIGKILL ends it.
pub(crate) fn deaf() -> Result<()> {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
        set.add(signal);
    }
    Ok(set.thread_block()?)
}

/// Waits for SIGTERM and lives on.
pub(crate) fn until_term() -> Result<()> {
    let mut set = SigSet::empty();
    set.add(Signal::SIGTERM);
    set.thread_block()?;
    set.wait().map(drop).map_err(Into::into)
}

pub(crate) fn notify(words: &str) -> Result<()> {
    let socket = UnixDatagram::unbound()?;
    let path =
        std::env::var_os("NOTIFY_SOCKET").ok_or_else(|| std::io::Error::other("no socket"))?;
    socket.send_to(words.as_bytes(), path).map(drop)
}

pub(crate) fn newline() -> Result<()> {
    File::options().write(true).open("/proc/self/fd/3")?.write_all(b"\n")
}

pub(crate) fn spam(lines: u64) -> Result<()> {
    let mut out = std::io::stdout().lock();
    (1..=lines)
        .try_for_each(|number| writeln!(out, "line {number} of {lines}, and some more words"))
}

pub(crate) fn eat(mebibytes: usize) {
    let mut eaten = vec![0_u8; mebibytes << 20];
    // A page that was never written is not there.
    eaten.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    std::mem::forget(std::hint::black_box(eaten));
}

pub(crate) fn mount_storm(times: u32) -> Result<()> {
    let folder = format!("/run/storm-{}", std::process::id());
    std::fs::create_dir_all(&folder)?;
    for _ in 0..times {
        rustix::mount::mount("tmpfs", &*folder, "tmpfs", MountFlags::empty(), None)?;
        rustix::mount::unmount(&*folder, UnmountFlags::empty())?;
    }
    Ok(())
}

pub(crate) fn call(method: &str, parameters: &str, path: &str) -> Result<()> {
    let mut socket = UnixStream::connect("/run/kubermesh/control")?;
    let call =
        format!("{{\"method\":\"org.kubermesh.Node.{method}\",\"parameters\":{parameters}}}\0");
    socket.write_all(call.as_bytes())?;
    let (mut answer, mut byte) = (Vec::new(), [0]);
    while socket.read(&mut byte)? > 0 && byte != [0] {
        answer.extend(byte);
    }
    add_line(path, &String::from_utf8_lossy(&answer))
}

pub(crate) fn lend() -> Result<()> {
    let socket = UnixStream::connect("/run/kubermesh/control")?;
    let lent = [socket.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&lent));
    let word = [IoSlice::new(b"lent")];
    rustix::net::sendmsg(std::io::stdin(), &word, &mut ancillary, SendFlags::empty())?;
    Ok(())
}
