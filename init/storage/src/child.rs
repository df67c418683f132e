// SPDX-License-Identifier: Apache-2.0
//! Runs mkfs, e2fsck and umount: with words while they take long, and an end when they hang.
//!
//! The end is hardly a fixed time, since nobody knows how slow a stick is: a program may take as long
//! as its partition's counters move, and the task is given by PID 1. One that hangs in the kernel cannot even be killed; it is left
//! behind for PID 1 to reap.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::error::StorageError;
use crate::say::say;

/// How a program ended, and what it said last.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) said: String,
}

impl Ended {
    /// The last line that names one of these; the last one where none does. What e2fsck says of a
    /// file system begins with its name, and advice may follow.
    pub(crate) fn line_about(&self, names: &[&str]) -> &str {
        let mut lines = self.said.lines().rev().map(str::trim).filter(|line| !line.is_empty());
        let last = lines.clone().next().unwrap_or_default();
        lines.find(|line| names.iter().any(|name| line.contains(name))).unwrap_or(last)
    }

    /// What an unwelcome end of this program is called.
    pub(crate) fn failure(&self, program: &'static str) -> StorageError {
        let ending = match (self.status.code(), self.status.signal()) {
            (Some(code), _) => format!("ended with {code}"),
            (None, Some(signal)) => format!("was killed by signal {signal}"),
            (None, None) => "ended strangely".to_owned(),
        };
        StorageError::Failed { program, ending, said: after_colon(self.line_about(&[])) }
    }
}

/// What is run and how it is watched.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    pub(crate) program: &'static str,
    pub(crate) arguments: &'a [&'a str],
    /// What a person reads while it takes long: `making the DATA partition`.
    pub(crate) doing: &'a str,
    /// The partition's `stat` in sysfs.
    pub(crate) counters: Option<&'a Path>,
    /// So long without any movement, and it is killed.
    pub(crate) stalls_after_seconds: u64,
    /// So long at all, and it is killed.
    pub(crate) longest_seconds: u64,
}

impl Run<'_> {
    /// Runs it to its end.
    pub(crate) fn to_end(&self) -> Result<Ended, StorageError> {
        let failed = |source| StorageError::Start { program: self.program, source };
        let (reader, writer) = std::io::pipe().map_err(failed)?;
        let errors = writer.try_clone().map_err(failed)?;
        let mut command = Command::new(self.program);
        command.args(self.arguments).env_clear().env("PATH", PATH).stdin(Stdio::null());
        let mut child = command.stdout(writer).stderr(errors).spawn().map_err(failed)?;
        // The pipe's other end is the child's alone now, or its end would never come.
        drop(command);
        let tail = self.watch(&mut child, reader.into())?;
        let status = child.wait().map_err(failed)?;
        Ok(Ended { status, said: String::from_utf8_lossy(&tail).into_owned() })
    }

    /// Runs it; anything but 0 is an error.
    pub(crate) fn to_success(&self) -> Result<(), StorageError> {
        let ended = self.to_end()?;
        if ended.status.success() { Ok(()) } else { Err(ended.failure(self.program)) }
    }

    /// Waits for the end, reads what is said, tells how it goes. Returns the last bytes said.
    fn watch(&self, child: &mut Child, said: OwnedFd) -> Result<Vec<u8>, StorageError> {
        let system = |attempt| move |source: Errno| StorageError::System { attempt, source };
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or(Errno::SRCH).map_err(system("watch a child"))?;
        let end = pidfd_open(pid, PidfdFlags::empty()).map_err(system("watch a child"))?;
        rustix::io::ioctl_fionbio(&said, true).map_err(system("watch a child"))?;
        let mut tail = Vec::new();
        let mut progress = Progress::of(self.counters);
        loop {
            let is_silent = drain(&said, &mut tail);
            let mut sources = vec![PollFd::new(&end, PollFlags::IN)];
            if !is_silent {
                sources.push(PollFd::from_borrowed_fd(said.as_fd(), PollFlags::IN));
            }
            match poll(&mut sources, Some(&TICK)) {
                Ok(0) => self.tell(&mut progress, child)?,
                Ok(_) | Err(Errno::INTR) => {}
                Err(refusal) => return Err(system("wait for a child")(refusal)),
            }
            let has_ended = sources.first().is_some_and(|end| !end.revents().is_empty());
            if has_ended {
                drain(&said, &mut tail);
                return Ok(tail);
            }
        }
    }

    fn tell(&self, progress: &mut Progress<'_>, child: &mut Child) -> Result<(), StorageError> {
        progress.look();
        if progress.still_seconds >= self.stalls_after_seconds {
            let _ = child.kill();
            let seconds = self.stalls_after_seconds;
            return Err(StorageError::Stalled { program: self.program, seconds });
        }
        if progress.seconds >= self.longest_seconds {
            let _ = child.kill();
            let seconds = self.longest_seconds;
            return Err(StorageError::Slow { program: self.program, seconds });
        }
        if progress.seconds.is_multiple_of(WORDS_EVERY_SECONDS) {
            say(&format!("{}: {}", self.doing, progress.sentence()));
        }
        Ok(())
    }
}

/// `: line`, or nothing where nothing was said.
pub(crate) fn after_colon(line: &str) -> String {
    if line.is_empty() { String::new() } else { format!(": {line}") }
}

/// Reads what is there, hands it on to our own standard error, and keeps the end of it. True at its end.
fn drain(said: &OwnedFd, tail: &mut Vec<u8>) -> bool {
    let mut bytes = [0; 1024];
    loop {
        match rustix::io::read(said, &mut bytes) {
            Ok(0) => return true,
            Ok(count) => {
                let new = bytes.get(..count).unwrap_or_default();
                let _ = std::io::Write::write_all(&mut std::io::stderr(), new);
                tail.extend(new);
                let surplus = tail.len().saturating_sub(KEPT_BYTES);
                tail.drain(..surplus);
            }
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

/// How far a program is, by what its partition has read and written (Documentation/block/stat.rst).
#[derive(Debug)]
struct Progress<'a> {
    counters: Option<&'a Path>,
    first: (u64, u64),
    now: (u64, u64),
    seconds: u64,
    still_seconds: u64,
}

impl<'a> Progress<'a> {
    fn of(counters: Option<&'a Path>) -> Self {
        let first = counters.map(sectors).unwrap_or_default();
        Self { counters, first, now: first, seconds: 0, still_seconds: 0 }
    }

    fn look(&mut self) {
        let now = self.counters.map(sectors).unwrap_or_default();
        let is_still = now == self.now;
        self.still_seconds = if is_still { self.still_seconds.saturating_add(1) } else { 0 };
        self.now = now;
        self.seconds = self.seconds.saturating_add(1);
    }

    fn sentence(&self) -> String {
        let mib = |now: u64, first: u64| now.saturating_sub(first) / SECTORS_IN_MIB;
        let read = mib(self.now.0, self.first.0);
        let written = mib(self.now.1, self.first.1);
        format!("{read} MiB read, {written} MiB written, {} s", self.seconds)
    }
}

/// Sectors of 512 bytes read and written: the third and the seventh field.
fn sectors(counters: &Path) -> (u64, u64) {
    let text = std::fs::read_to_string(counters).unwrap_or_default();
    let field = |index: usize| {
        text.split_whitespace().nth(index).and_then(|word| word.parse().ok()).unwrap_or(0)
    };
    (field(2), field(6))
}

const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
const TICK: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
const WORDS_EVERY_SECONDS: u64 = 2;
const SECTORS_IN_MIB: u64 = 2048;
/// Of what a program says only its last lines are told.
const KEPT_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn run<'a>(program: &'static str, arguments: &'a [&'a str]) -> Run<'a> {
        let (doing, counters) = ("trying", None);
        Run { program, arguments, doing, counters, stalls_after_seconds: 2, longest_seconds: 60 }
    }

    #[test]
    fn the_last_line_of_a_failure_is_told_with_its_number() {
        let refusal = run("/bin/sh", &["-c", "echo one; echo two >&2; exit 8"]).to_success();
        assert_eq!(refusal.unwrap_err().to_string(), "/bin/sh ended with 8: two");
        run("/bin/sh", &["-c", "true"]).to_success().unwrap();
    }

    #[test]
    fn a_program_that_says_more_than_a_pipe_holds_comes_to_its_end() {
        let script = "i=0; while [ $i -lt 20000 ]; do echo aaaaaaaa; i=$((i+1)); done; echo end";
        assert_eq!(run("/bin/sh", &["-c", script]).to_end().unwrap().line_about(&[]), "end");
    }

    #[test]
    fn a_program_that_gets_nowhere_is_killed_and_told() {
        let refusal = run("/bin/sleep", &["60"]).to_success().unwrap_err().to_string();
        let said = "/bin/sleep got nowhere for 2 s and was killed: the disk does not answer";
        assert_eq!(refusal, said);
    }
    #[test]
    fn a_program_that_moves_on_without_end_is_killed_and_told() {
        let folder = tempfile::tempdir().unwrap();
        let counters = folder.path().join("stat");
        let script = format!(
            "i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo 0 0 $i 0 0 0 0 > {}; sleep 0.1; done",
            counters.display()
        );
        let arguments = ["-c", &script];
        let run = run("/bin/sh", &arguments);
        let run = Run { counters: Some(&counters), longest_seconds: 4, ..run };
        let refusal = run.to_success().unwrap_err().to_string();
        let said =
            "/bin/sh took longer than 4 s and was killed; on another machine it may take its time";
        assert_eq!(refusal, said);
    }
}
