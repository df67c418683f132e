// SPDX-License-Identifier: Apache-2.0
//! A process that ends with us: when it is dropped, when we panic, and when we are killed.
//!
//! The last is the kernel's PR_SET_PDEATHSIG, set by setpriv(1). It fires when the *thread* that made the child
//! ends (prctl(2)), so every child is made by one thread that lives as long as the program: a machine may be
//! booted by a thread that is gone long before its QEMU.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A running program, killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: Pid,
    pidfd: OwnedFd,
    log: PathBuf,
    end: Arc<End>,
}

impl Process {
    /// Starts a program; what it says on stdout and stderr goes to the file `log`.
    pub fn spawn<A: AsRef<OsStr>>(name: &str, argv: &[A], log: &Path) -> Result<Self> {
        let file = fs::File::create(log).with_context(|| format!("create {}", log.display()))?;
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .args(argv)
            .stdin(Stdio::null())
            .stdout(file.try_clone().context("share the log file")?)
            .stderr(file)
            // A Ctrl-C at the terminal is for us; we end our machines in order.
            .process_group(0);
        let child = spawn_here(command).with_context(|| format!("start {name} with setpriv"))?;
        Self::adopt(name, child, log)
    }

    fn adopt(name: &str, mut child: Child, log: &Path) -> Result<Self> {
        let pid = Pid::from_child(&child);
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).context("open a pidfd")?;
        let end = Arc::new(End::default());
        let told = Arc::clone(&end);
        thread::Builder::new()
            .name(format!("wait-{name}"))
            .spawn(move || told.tell(child.wait()))
            .context("start a thread")?;
        Ok(Self { name: name.to_owned(), pid, pidfd, log: log.to_path_buf(), end })
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Becomes readable when it ends.
    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// How it ended, once it has.
    pub fn ended(&self) -> Option<String> {
        self.end.look().clone()
    }

    /// Calls back with how it ended and its last words.
    pub(crate) fn when_ended(&self, tell: impl FnOnce(&str, &str) + Send + 'static) {
        let (end, log) = (Arc::clone(&self.end), self.log.clone());
        // Without the thread nobody hears of the end; a wait still has its deadline.
        let _ = thread::Builder::new()
            .name(format!("end-{}", self.name))
            .spawn(move || tell(&end.wait(), &tail(&log)));
    }

    /// Waits for its end and tells how it ended.
    pub fn wait(&self, within: Duration) -> Result<String> {
        let deadline = Instant::now() + within;
        let mut how = self.end.look();
        loop {
            if let Some(how) = how.as_ref() {
                return Ok(how.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("{} still runs after {within:?}", self.name);
            }
            how =
                self.end.changed.wait_timeout(how, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Stops it where it stands (SIGSTOP), as a device that hangs.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on (SIGCONT).
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Kills it and waits until it is gone.
    pub fn kill(&self) -> Result<()> {
        if self.ended().is_none() {
            // It may end by itself just now; then there is nothing left to kill.
            let _ = self.signal(Signal::KILL);
        }
        self.wait(KILLED_WITHIN).map(drop)
    }

    /// The end of what it said, for a report.
    pub fn last_words(&self) -> String {
        tail(&self.log)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        pidfd_send_signal(&self.pidfd, signal).with_context(|| format!("signal {}", self.name))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// Runs a program to its end and gives its output; a failure says what it said.
pub(crate) fn run<A: Into<OsString> + Clone>(argv: &[A]) -> Result<String> {
    let argv: Vec<OsString> = argv.iter().cloned().map(Into::into).collect();
    let (program, arguments) = argv.split_first().context("run nothing")?;
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("run {}: is it installed?", program.display()))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        bail!("{} {}: {}", program.display(), output.status, words.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Says which package to install when a program is missing.
pub(crate) fn require(program: &str, package: &str) -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    ensure!(found, "{program} is not installed: apt-get install {package}");
    Ok(())
}

#[derive(Debug, Default)]
struct End {
    how: Mutex<Option<String>>,
    changed: Condvar,
}

impl End {
    fn look(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.how.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self) -> String {
        let mut how = self.look();
        loop {
            if let Some(how) = how.as_ref() {
                return how.clone();
            }
            how = self.changed.wait(how).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn tell(&self, status: io::Result<ExitStatus>) {
        let words = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        *self.look() = Some(words);
        self.changed.notify_all();
    }
}

fn tail(log: &Path) -> String {
    let said = fs::read(log).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}

type Order = (Command, Sender<io::Result<Child>>);

fn spawn_here(command: Command) -> Result<Child> {
    static SPAWNER: OnceLock<Sender<Order>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, orders) = channel();
        // Without the thread the channel is closed and the next send says so.
        let _ = thread::Builder::new().name("spawner".into()).spawn(move || spawn_all(&orders));
        sender
    });
    let (answer, child) = channel();
    spawner.send((command, answer)).map_err(|_| anyhow!("the spawner thread is gone"))?;
    Ok(child.recv().context("the spawner thread is gone")??)
}

fn spawn_all(orders: &Receiver<Order>) {
    for (mut command, answer) in orders {
        let _ = answer.send(command.spawn());
    }
}

/// A process in an uninterruptible wait on a dead disk may take a while to die.
const KILLED_WITHIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Folder;

    #[test]
    fn a_process_outlives_the_thread_that_started_it_but_not_its_owner() {
        let folder = Folder::new("process").unwrap();
        let log = folder.file("log");
        let start = move || {
            let sleeper =
                Process::spawn("sleeper", &["sh", "-c", "echo up; sleep 60"], &log).unwrap();
            while sleeper.last_words() != "up" {
                thread::yield_now();
            }
            sleeper
        };
        let sleeper = thread::spawn(start).join().unwrap();
        let proc = format!("/proc/{}", sleeper.pid());

        assert!(sleeper.wait(Duration::from_millis(200)).is_err());
        drop(sleeper);

        assert!(!Path::new(&proc).exists());
    }

    #[test]
    fn the_end_of_a_process_and_its_words_are_told() {
        let folder = Folder::new("process").unwrap();

        let process =
            Process::spawn("shell", &["sh", "-c", "echo gone wrong; exit 3"], &folder.file("log"))
                .unwrap();

        assert_eq!(process.wait(Duration::from_secs(5)).unwrap(), "exit status: 3");
        assert_eq!(process.last_words(), "gone wrong");
    }
}
