// SPDX-License-Identifier: Apache-2.0
//! A stage that stands, and what a test asks of it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal};
use serde_json::{Value, json};

use super::control::{self, Client};
use super::end::Ended;
use super::kernel_log::KernelLog;
use super::plan::{Opened, Plan};
use super::tracer::Tracer;

/// A stage that stands. It is cleared when this is dropped, or its process ends in any way.
#[derive(Debug)]
pub struct Running {
    keeper: Child,
    socket: BufReader<UnixStream>,
    pid: u32,
    cgroup: PathBuf,
    log: KernelLog,
    pub(super) tracer: Option<Tracer>,
}

/// A service as PID 1 tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// `running`, `resting` …
    pub state: String,
    /// Its main process, a pid inside.
    pub pid: Option<u32>,
    /// Runs so far.
    pub starts: u64,
    /// Failures in a row.
    pub failures: u64,
    /// What it waits for, or how its last run ended.
    pub sentence: String,
}

/// Between two questions, where nothing tells of a change.
const PAUSE: Duration = Duration::from_millis(10);

impl Running {
    pub(super) fn open(
        plan: &Plan,
        prepare: impl FnOnce(u32) -> Result<Option<Tracer>>,
    ) -> Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let program = beside_the_test("kubermesh-stage")?;
        // In a group of its own: Ctrl-C is for the test, and the keeper clears up after it.
        let keeper = Command::new(&program)
            .arg("keep")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {}", program.display()))?;
        let mut socket = BufReader::new(ours);
        socket.get_ref().set_read_timeout(Some(super::patience()))?;
        let mut line = serde_json::to_vec(plan)?;
        line.push(b'\n');
        socket.get_mut().write_all(&line).context("tell the plan")?;
        let (pid, cgroup, fifo) = match hear(&mut socket)? {
            Opened::Set { pid, cgroup, kernel_log } => (pid, cgroup, kernel_log),
            early @ (Opened::Runs | Opened::Ended { .. } | Opened::Failed(_)) => bail!("{early:?}"),
        };
        let log = KernelLog::read(&fifo)?;
        let mut running = Self { keeper, socket, pid, cgroup, log, tracer: None };
        running.tracer = prepare(pid)?;
        running.socket.get_mut().write_all(b"go\n")?;
        match hear(&mut running.socket)? {
            Opened::Runs => Ok(running),
            bad @ (Opened::Set { .. } | Opened::Ended { .. } | Opened::Failed(_)) => {
                bail!("{bad:?}")
            }
        }
    }

    /// PID 1's pid on this machine.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Its cgroup on this machine; that of a service lies below.
    #[must_use]
    pub fn cgroup(&self) -> &Path {
        &self.cgroup
    }

    /// A path of the root, seen from here.
    #[must_use]
    pub fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.pid))
    }

    /// A file of the root.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&self, inside: &str) -> Result<String> {
        std::fs::read_to_string(self.path(inside)).with_context(|| format!("read {inside} inside"))
    }

    /// Does something as root inside, to whom what it makes then belongs: a file that root of this
    /// machine would make in there is refused (EOVERFLOW). The path is that of the root.
    ///
    /// # Errors
    /// As the deed.
    pub fn inside<T: Send>(&self, deed: impl FnOnce(&Path) -> Result<T> + Send) -> Result<T> {
        control::as_user(self.pid, 0, deed)
    }

    /// Makes a file of the root, whole or not at all.
    ///
    /// # Errors
    /// Its folder is not there.
    pub fn write(&self, inside: &str, text: &str) -> Result<()> {
        let inside = inside.trim_start_matches('/');
        self.inside(|root| {
            let draft = root.join(format!("{inside}.draft"));
            std::fs::write(&draft, text)?;
            Ok(std::fs::rename(draft, root.join(inside))?)
        })
        .with_context(|| format!("write /{inside} inside"))
    }

    /// The lines that were written to /dev/kmsg so far.
    #[must_use]
    pub fn kmsg(&self) -> Vec<String> {
        self.log.lines()
    }

    /// Waits for a line in /dev/kmsg, from the first on.
    ///
    /// # Errors
    /// It does not come in time.
    pub fn wait_line(&self, text: &str, within: Duration) -> Result<String> {
        self.log.wait(0, text, within)
    }

    /// The same, among the lines from number `from` on.
    ///
    /// # Errors
    /// It does not come in time.
    pub fn wait_line_from(&self, from: usize, text: &str, within: Duration) -> Result<String> {
        self.log.wait(from, text, within)
    }

    /// Runs a program of the root to its end, as root inside, beside PID 1's children.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn exec(&self, argv: &[&str]) -> Result<Output> {
        let mut command = control::inside(self.pid, argv);
        command.output().with_context(|| format!("run {argv:?} inside"))
    }

    /// The same; a status other than 0 is an error, the answer what it printed.
    ///
    /// # Errors
    /// It cannot be started or failed.
    pub fn run(&self, argv: &[&str]) -> Result<String> {
        let output = self.exec(argv)?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{argv:?} inside: {}: {said}{errors}", output.status);
        Ok(said)
    }

    /// A client of the control socket, root inside.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn client(&self) -> Result<Client> {
        Client::of_process(self.pid, 0)
    }

    /// A client that is this user inside, and may only read; quicker than [`Running::client`].
    ///
    /// # Errors
    /// Nobody listens.
    pub fn client_as(&self, user: u32) -> Result<Client> {
        Client::of_user(self.pid, user)
    }

    /// A client of root that connects right after this was done.
    ///
    /// # Errors
    /// Nobody listens, or it cannot be done.
    pub fn client_after(&self, deed: impl FnOnce() -> Result<()> + Send) -> Result<Client> {
        Client::of_user_after(self.pid, 0, deed)
    }

    /// Calls a method of the control socket as root: `Status`, `Restart` … The answer's parameters.
    ///
    /// # Errors
    /// Nobody listens, or the answer is an error.
    pub fn call(&self, method: &str, parameters: &Value) -> Result<Value> {
        let reads = ["Status", "Why", "Services", "Links", "Light"].contains(&method);
        let mut client = if reads { self.client_as(0)? } else { self.client()? };
        client.call(method, parameters)
    }

    /// Each service, by name.
    ///
    /// # Errors
    /// As [`Running::call`].
    pub fn services(&self) -> Result<BTreeMap<String, Service>> {
        let answer = self.call("Services", &json!({}))?;
        let list = answer["services"].as_array().context("no list of services")?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let one = |one: &Value| Service {
            state: text(&one["state"]),
            pid: one["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()),
            starts: one["starts"].as_u64().unwrap_or(0),
            failures: one["failures"].as_u64().unwrap_or(0),
            sentence: text(&one["sentence"]),
        };
        Ok(list.iter().map(|service| (text(&service["name"]), one(service))).collect())
    }

    /// One service.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn service(&self, name: &str) -> Result<Service> {
        self.services()?.remove(name).with_context(|| format!("there is no service {name}"))
    }

    /// Waits until this holds, asking again and again; `what` is for the message.
    ///
    /// # Errors
    /// It does not hold within [`super::patience`].
    pub fn wait_until(&self, what: &str, holds: impl FnMut(&Self) -> Result<bool>) -> Result<()> {
        self.wait_for(what, super::patience(), holds)
    }

    /// The same with a deadline of the test's own.
    ///
    /// # Errors
    /// It does not hold in time.
    pub fn wait_for(
        &self,
        what: &str,
        within: Duration,
        mut holds: impl FnMut(&Self) -> Result<bool>,
    ) -> Result<()> {
        let deadline = Instant::now() + within;
        loop {
            let last = holds(self);
            if matches!(last, Ok(true)) {
                return Ok(());
            }
            if Instant::now() > deadline {
                let (said, services) = (self.kmsg(), self.services());
                let end = said.get(said.len().saturating_sub(30)..).unwrap_or_default().join("\n");
                bail!("waited {within:?} for {what}; last: {last:?}; {services:#?}\n{end}");
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Waits until a service is in this state; how it is then.
    ///
    /// # Errors
    /// It does not come to be in time.
    pub fn wait_state(&self, name: &str, state: &str) -> Result<Service> {
        self.wait_until(&format!("{name} to be {state}"), |stage| {
            Ok(stage.service(name)?.state == state)
        })?;
        self.service(name)
    }

    /// How many descriptors PID 1 holds.
    ///
    /// # Errors
    /// It is gone.
    pub fn descriptors(&self) -> Result<usize> {
        let folder = std::fs::read_dir(format!("/proc/{}/fd", self.pid));
        Ok(folder.context("PID 1 is gone")?.count())
    }

    /// The pid on this machine of a process inside.
    ///
    /// # Errors
    /// There is no such process.
    pub fn pid_here(&self, inside: u32) -> Result<u32> {
        let wanted = inside.to_string();
        for pid in self.processes()? {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let names = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
            if names.is_some_and(|names| names.split_whitespace().nth(1) == Some(&*wanted)) {
                return Ok(pid);
            }
        }
        bail!("there is no process {inside} inside")
    }

    /// All that runs inside, PID 1 included, by their pids on this machine.
    ///
    /// # Errors
    /// The cgroup is gone.
    pub fn processes(&self) -> Result<Vec<u32>> {
        let mut pids = Vec::new();
        let mut folders = vec![self.cgroup.clone()];
        while let Some(folder) = folders.pop() {
            let procs = std::fs::read_to_string(folder.join("cgroup.procs"));
            pids.extend(
                procs.unwrap_or_default().lines().filter_map(|pid| pid.parse::<u32>().ok()),
            );
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    folders.push(entry.path());
                }
            }
        }
        ensure!(!pids.is_empty(), "nothing runs on the stage");
        Ok(pids)
    }

    /// Sends a signal to a process inside, which knows it as `inside`, from outside.
    ///
    /// # Errors
    /// There is no such process.
    pub fn signal(&self, inside: u32, signal: Signal) -> Result<()> {
        let pid = if inside == 1 { self.pid } else { self.pid_here(inside)? };
        let pid = Pid::from_raw(pid.cast_signed()).context("no pid")?;
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
        Ok(rustix::process::pidfd_send_signal(pidfd, signal)?)
    }

    /// How PID 1 ended, if it has.
    ///
    /// # Errors
    /// The keeper says something else.
    pub fn has_ended(&mut self) -> Result<Option<Ended>> {
        let mut ready = [PollFd::new(self.socket.get_ref(), PollFlags::IN)];
        let now = Timespec::default();
        if poll(&mut ready, Some(&now))? == 0 {
            Ok(None)
        } else {
            self.ended(super::patience()).map(Some)
        }
    }

    /// How PID 1 ended, if it does in time.
    ///
    /// # Errors
    /// It goes on.
    pub fn ended(&mut self, within: Duration) -> Result<Ended> {
        self.socket.get_ref().set_read_timeout(Some(within))?;
        let heard = hear(&mut self.socket);
        let (status, signal) = match heard.with_context(|| self.kmsg().join("\n"))? {
            Opened::Ended { status, signal } => (status, signal),
            Opened::Failed(why) => bail!("{why}"),
            Opened::Set { .. } | Opened::Runs => bail!("it began twice"),
        };
        // All that was written has been read then.
        self.log.end();
        Ok(Ended::of(status, signal))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The keeper sees it, kills and clears up; then it ends.
        let _ = self.socket.get_ref().shutdown(Shutdown::Both);
        let _ = self.keeper.wait();
        self.log.end();
    }
}

fn hear(socket: &mut BufReader<UnixStream>) -> Result<Opened> {
    let mut line = String::new();
    socket.read_line(&mut line).context("hear from kubermesh-stage")?;
    ensure!(!line.is_empty(), "kubermesh-stage ended without a word: see above");
    Ok(serde_json::from_str(&line)?)
}

/// A program of this crate: Cargo lays it beside `deps`, where tests are.
fn beside_the_test(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folders = own.ancestors().skip(1).take(2);
    let found = folders.map(|folder| folder.join(name)).find(|path| path.exists());
    found.with_context(|| format!("{name} is not beside {}", own.display()))
}
