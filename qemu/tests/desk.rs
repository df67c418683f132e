// SPDX-License-Identifier: Apache-2.0
//! The desk as a person has it: in a terminal, ended by Ctrl-C; and killed. Nothing is left of either.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a test may stop where it stands"
)]

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use kubermesh_qemu::Folder;

const SOON: Duration = Duration::from_secs(120);

#[test]
fn ctrl_c_in_a_terminal_ends_the_desk_and_leaves_nothing() -> Result<()> {
    let ground = Ground::new("terminal")?;
    let line = format!("{} {}", env!("CARGO_BIN_EXE_kubermesh-desk"), ground.words().join(" "));
    // script(1) is the terminal.
    let mut terminal = Command::new("/usr/bin/script");
    terminal.args(["--quiet", "--return", "--flush", "--command", &line, "/dev/null"]);
    let mut desk = ground.start(terminal.env("TERM", "xterm"))?;
    ground.wait_screen(&desk, &["node1", "node2", "BdsDxe"])?;
    ensure!(!ground.processes()?.is_empty(), "no machine runs in {}", ground.place.display());

    desk.child.stdin.as_mut().context("no keyboard")?.write_all(b"\x03")?;
    let status = desk.end()?;
    ensure!(status.success(), "the desk ended with {status}");
    ground.wait_empty()
}

#[test]
fn a_killed_desk_leaves_nothing() -> Result<()> {
    let ground = Ground::new("killed")?;
    let mut desk =
        ground.start(Command::new(env!("CARGO_BIN_EXE_kubermesh-desk")).args(ground.words()))?;
    ground.wait_screen(&desk, &["BdsDxe"])?;
    desk.child.kill()?;
    desk.end()?;
    ground.wait_empty()
}

/// A folder for all that a desk makes, and a stick that boots nothing.
struct Ground {
    folder: Folder,
    place: PathBuf,
}

struct Desk {
    child: Child,
    printed: Receiver<Vec<u8>>,
}

impl Ground {
    fn new(name: &str) -> Result<Self> {
        let folder = Folder::new(name)?;
        let place = folder.file("made");
        fs::create_dir(&place)?;
        fs::write(folder.file("usb.img"), vec![0; 1 << 20])?;
        Ok(Self { folder, place })
    }

    fn words(&self) -> Vec<String> {
        let usb = self.folder.file("usb.img").display().to_string();
        ["run", "--usb", &usb, "--nodes", "2", "--memory-mib", "256"].map(str::to_owned).into()
    }

    fn start(&self, command: &mut Command) -> Result<Desk> {
        let command = command.env("TMPDIR", &self.place).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().context("no output")?;
        Ok(Desk { child, printed: chunks(output) })
    }

    fn wait_screen(&self, desk: &Desk, words: &[&str]) -> Result<()> {
        let (end, mut seen) = (Instant::now() + SOON, String::new());
        while !words.iter().all(|word| seen.contains(word)) {
            let left = end.saturating_duration_since(Instant::now());
            let chunk = desk.printed.recv_timeout(left);
            let chunk = chunk.with_context(|| format!("waited for {words:?} in:\n{seen}"))?;
            seen.push_str(&String::from_utf8_lossy(&chunk));
        }
        Ok(())
    }

    /// The processes that have this ground's folder on their command line.
    fn processes(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc")? {
            // One that has just ended has no command line any more.
            let words = fs::read(entry?.path().join("cmdline")).unwrap_or_default();
            let words = String::from_utf8_lossy(&words).replace('\0', " ");
            if words.contains(&self.place.display().to_string()) {
                found.push(words);
            }
        }
        Ok(found)
    }

    fn wait_empty(&self) -> Result<()> {
        let end = Instant::now() + SOON;
        loop {
            let (files, processes) = (names(&self.place)?, self.processes()?);
            if files.is_empty() && processes.is_empty() {
                return Ok(());
            }
            if Instant::now() > end {
                bail!("left behind: {files:?} {processes:?}");
            }
            // The folder is swept by a shell that hears of the end by a closed pipe; nobody tells us.
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Desk {
    fn end(&mut self) -> Result<ExitStatus> {
        let end = Instant::now() + SOON;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            ensure!(Instant::now() < end, "the desk does not end");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // It has ended, unless the test failed before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder)?;
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

fn chunks(mut output: ChildStdout) -> Receiver<Vec<u8>> {
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(read) = output.read(&mut bytes) {
            let is_over = read == 0 || tell.send(bytes[..read].to_vec()).is_err();
            if is_over {
                break;
            }
        }
    });
    told
}
