// SPDX-License-Identifier: Apache-2.0
//! Performs one deed and says how it went. A failure is an answer, never our end.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use kubermesh_qemu::agent::protocol::{Bytes, Deed, Reply};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::jam::jam;

/// Does it.
pub(crate) fn perform(deed: Deed) -> Reply {
    let reply = match deed {
        Deed::Ping => Ok(Reply::Done),
        Deed::Run { command, limit_ms } => run(&command, Duration::from_millis(limit_ms)),
        Deed::Start { command } => start(&command),
        Deed::Read { path } => read(&path),
        Deed::Write { path, content, mode } => write(&path, &content.0, mode),
        Deed::Jam { pid, lock } => jam(pid, lock).map(|threads| Reply::Jammed { threads }),
    };
    reply.unwrap_or_else(|error| Reply::Failed { reason: format!("{error:#}") })
}

fn run(argv: &[String], limit: Duration) -> Result<Reply> {
    let mut child =
        command(argv)?.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("start it")?;
    let stdout = collect(child.stdout.take().context("no stdout")?);
    let stderr = collect(child.stderr.take().context("no stderr")?);
    let Some(status) = wait(&mut child, limit)? else {
        // Only its own group: it was made the leader of one.
        let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
        // One that waits for a dead disk dies when the disk answers, if ever.
        thread::spawn(move || child.wait());
        bail!("still ran after {limit:?}; it was killed");
    };
    Ok(Reply::Ran { status: number(status), stdout: gather(&stdout), stderr: gather(&stderr) })
}

fn start(argv: &[String]) -> Result<Reply> {
    let mut child =
        command(argv)?.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("start it")?;
    let pid = Pid::from_child(&child).as_raw_nonzero().get();
    thread::spawn(move || child.wait());
    Ok(Reply::Started { pid })
}

fn command(argv: &[String]) -> Result<Command> {
    let (program, arguments) = argv.split_first().context("no program")?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).process_group(0);
    if std::env::var_os("PATH").is_none() {
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    }
    Ok(command)
}

fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    // Asking again and again took time from an emulated node that is under test.
    let ended =
        pidfd_open(Pid::from_child(child), PidfdFlags::empty()).context("open its pidfd")?;
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).context("a limit beyond any clock")?;
        match poll(&mut [PollFd::new(&ended, PollFlags::IN)], Some(&left)) {
            Ok(_) => return child.try_wait().context("wait for it"),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("wait for its end"),
        }
    }
}

fn number(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(255)
}

fn collect(mut pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, pieces) = channel();
    thread::spawn(move || {
        let mut piece = [0; 65536];
        while let Ok(count) = pipe.read(&mut piece) {
            let read = piece.get(..count).unwrap_or_default();
            if read.is_empty() || sender.send(read.to_vec()).is_err() {
                break;
            }
        }
    });
    pieces
}

/// A grandchild that keeps the pipe open does not keep us: what came until shortly after the end is the output.
fn gather(pieces: &Receiver<Vec<u8>>) -> Bytes {
    let deadline = Instant::now() + LINGER;
    let mut all = Vec::new();
    while let Ok(piece) = pieces.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        all.extend(piece);
        if all.len() > OUTPUT_LIMIT {
            all.truncate(OUTPUT_LIMIT);
            break;
        }
    }
    Bytes(all)
}

fn read(path: &str) -> Result<Reply> {
    let file = fs::File::open(path).with_context(|| format!("open {path}"))?;
    let mut content = Vec::new();
    file.take(FILE_LIMIT + 1).read_to_end(&mut content).with_context(|| format!("read {path}"))?;
    ensure!(
        u64::try_from(content.len())? <= FILE_LIMIT,
        "{path} is longer than {FILE_LIMIT} bytes"
    );
    Ok(Reply::Read { content: Bytes(content) })
}

fn write(path: &str, content: &[u8], mode: u32) -> Result<Reply> {
    fs::write(path, content).with_context(|| format!("write {path}"))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .with_context(|| format!("chmod {path}"))?;
    Ok(Reply::Done)
}

const LINGER: Duration = Duration::from_millis(500);
const OUTPUT_LIMIT: usize = 4 << 20;
const FILE_LIMIT: u64 = 16 << 20;
