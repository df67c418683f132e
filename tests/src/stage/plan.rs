// SPDX-License-Identifier: Apache-2.0
//! What a stage holds, and how it begins.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::running::Running;
use super::tracer::Tracer;

/// A stage that is being set.
#[derive(Debug, Default)]
pub struct Stage {
    plan: Plan,
}

/// What `kubermesh-stage` is told.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Plan {
    /// Files of the root.
    pub files: Vec<File>,
    /// Programs of this machine, and where they lie inside.
    pub programs: Vec<(PathBuf, PathBuf)>,
    /// Links: where, and where they lead.
    pub links: Vec<(PathBuf, PathBuf)>,
    /// What /proc/cmdline says inside.
    pub kernel_command_line: String,
    /// Bytes of memory for all that runs inside.
    pub memory_max: Option<u64>,
    /// Processes inside.
    pub pids_max: Option<u64>,
    /// The init and its arguments.
    pub command: Vec<String>,
}

/// A file of the root.
#[derive(Debug, Serialize, Deserialize)]
pub struct File {
    /// Where.
    pub path: PathBuf,
    /// What it says.
    pub bytes: Vec<u8>,
    /// Permissions.
    pub mode: u32,
}

/// What `kubermesh-stage` answers.
#[derive(Debug, Serialize, Deserialize)]
pub enum Opened {
    /// All is set, and PID 1 waits for a word.
    Set {
        /// Its pid on this machine.
        pid: u32,
        /// Its cgroup on this machine.
        cgroup: PathBuf,
        /// The FIFO that is its /dev/kmsg.
        kernel_log: PathBuf,
    },
    /// It was given the word.
    Runs,
    /// PID 1 has ended.
    Ended {
        /// Its exit status.
        status: Option<i32>,
        /// The signal that killed it.
        signal: Option<i32>,
    },
    /// It could not be set.
    Failed(String),
}

const NODE: [&str; 2] = ["/usr/lib/kubermesh/init", "--house"];

/// Where `init --house` looks for services.
const SERVICES: &str = "/usr/lib/kubermesh/services";

/// A program of the node as it ships; without it a test fails.
///
/// # Errors
/// It was not built.
pub fn node_program(name: &str) -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), |folder| root.join(folder));
    let path = target.join("x86_64-unknown-linux-musl/release").join(name);
    ensure!(path.exists(), "{} is not there: `make test-programs` builds it", path.display());
    Ok(path)
}

impl Stage {
    /// An empty root with the node's PID 1 and the tests' actor: `/usr/lib/kubermesh/init`, `/actor`.
    ///
    /// # Errors
    /// One of them was not built.
    pub fn new() -> Result<Self> {
        let stage = Self::bare()
            .program(node_program("init")?, "/usr/lib/kubermesh/init")
            .program(node_program("kubermesh-actor")?, "/actor");
        // What the image brings along and `init` makes a house of.
        Ok(stage
            .file("/usr/lib/kubermesh/etc/hostname", "stage\n", 0o644)
            .file("/usr/lib/os-release", "NAME=Stage\n", 0o644)
            .kernel_command_line("kubermesh.test"))
    }

    /// A root with nothing in it, for any other init.
    #[must_use]
    pub fn bare() -> Self {
        Self::default()
    }

    /// A file inside.
    #[must_use]
    pub fn file(mut self, path: impl AsRef<Path>, bytes: impl AsRef<[u8]>, mode: u32) -> Self {
        let (path, bytes) = (path.as_ref().to_owned(), bytes.as_ref().to_owned());
        self.plan.files.push(File { path, bytes, mode });
        self
    }

    /// A program of this machine, copied to `inside`. It must be static, or its libraries be there too.
    #[must_use]
    pub fn program(mut self, here: impl AsRef<Path>, inside: impl AsRef<Path>) -> Self {
        self.plan.programs.push((here.as_ref().to_owned(), inside.as_ref().to_owned()));
        self
    }

    /// A symbolic link inside.
    #[must_use]
    pub fn link(mut self, path: impl AsRef<Path>, target: impl AsRef<Path>) -> Self {
        self.plan.links.push((path.as_ref().to_owned(), target.as_ref().to_owned()));
        self
    }

    /// A service file for the node's PID 1.
    #[must_use]
    pub fn service(self, name: &str, toml: &str) -> Self {
        self.file(format!("{SERVICES}/{name}.toml"), toml, 0o644)
    }

    /// What /proc/cmdline says inside; [`Stage::new`] says `kubermesh.test`.
    #[must_use]
    pub fn kernel_command_line(mut self, words: &str) -> Self {
        words.clone_into(&mut self.plan.kernel_command_line);
        self
    }

    /// Bytes of memory for all that runs inside, PID 1 included; no swap.
    #[must_use]
    pub fn memory_max(mut self, bytes: u64) -> Self {
        self.plan.memory_max = Some(bytes);
        self
    }

    /// Processes inside, PID 1 included.
    #[must_use]
    pub fn pids_max(mut self, count: u64) -> Self {
        self.plan.pids_max = Some(count);
        self
    }

    /// The node's PID 1, as it is after the root was entered.
    ///
    /// # Errors
    /// As [`Stage::start`].
    pub fn start_node(self) -> Result<Running> {
        self.start(&NODE)
    }

    /// The same, and before it begins strace(1) with these arguments traces it, from its mounts on.
    ///
    /// # Errors
    /// As [`Stage::start`]; strace is missing or refuses.
    pub fn start_node_traced(mut self, arguments: &[String]) -> Result<Running> {
        self.plan.command = NODE.map(str::to_owned).to_vec();
        Running::open(&self.plan, |pid| Ok(Some(Tracer::attach(pid, arguments)?)))
            .context("set a stage")
    }

    /// This program as PID 1.
    ///
    /// # Errors
    /// The namespaces, the root or the cgroup cannot be made: it needs root.
    pub fn start(mut self, command: &[&str]) -> Result<Running> {
        self.plan.command = command.iter().map(ToString::to_string).collect();
        Running::open(&self.plan, |_| Ok(None)).context("set a stage")
    }
}
