// SPDX-License-Identifier: Apache-2.0
//! strace(1) from outside on PID 1 of a stage: to see its system calls, or to have some fail or tarry.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::Running;

/// A strace that is attached. It lets go when this is dropped.
#[derive(Debug)]
pub(super) struct Tracer {
    child: Child,
}

impl Tracer {
    /// Comes back once strace has hold of the process.
    pub(super) fn attach(pid: u32, arguments: &[String]) -> Result<Self> {
        let mut child = Command::new("strace")
            .args(arguments)
            .args(["-p", &pid.to_string()])
            .stderr(Stdio::piped())
            .spawn()
            .context("start strace: `qemu/setup --tests` brings it")?;
        let mut line = String::new();
        let mut said = BufReader::new(child.stderr.take().context("strace has no stderr")?);
        let tracer = Self { child };
        said.read_line(&mut line).context("hear from strace")?;
        ensure!(line.contains("attached"), "strace {arguments:?}: {line}");
        // What else it says must not stop it.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Ok(tracer)
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // It has ended already where the process that it traced has.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// Has strace(1) hold PID 1 from now on, with these arguments.
    ///
    /// # Errors
    /// There is no strace, or it refuses.
    pub fn trace(&mut self, arguments: &[String]) -> Result<()> {
        self.tracer = Some(Tracer::attach(self.pid(), arguments)?);
        Ok(())
    }
}
