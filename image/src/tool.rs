// SPDX-License-Identifier: Apache-2.0
//! Runs a program of the build machine: shows that it goes on, says in one sentence why it failed.
//!
//! A program's last line on its standard error is taken for its reason; it becomes part of our one
//! sentence instead of standing beside it.

use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::os::fd::AsFd;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

/// Runs a silent program to its end and gives its output. A long one gets a sign of life.
///
/// # Errors
/// It is missing, or it failed.
pub fn run(command: &mut Command, doing: &str) -> Result<Vec<u8>> {
    command.stdout(Stdio::piped());
    ended(command, doing, |child| {
        let errors = child.stderr.take();
        let life = signs_of_life(doing.to_owned());
        let reason = thread::spawn(move || last_line(errors, |_| {}));
        let output = read_all(child)?;
        drop(life);
        Ok((output, reason.join().unwrap_or_default()))
    })
}

/// Runs a program that says itself how it goes on, line by line, and gives its output.
///
/// # Errors
/// It is missing, or it failed.
pub fn run_shown(command: &mut Command, doing: &str) -> Result<Vec<u8>> {
    command.stdout(Stdio::piped());
    ended(command, doing, |child| {
        let errors = child.stderr.take();
        let reason = thread::spawn(move || last_line(errors, |line| eprintln!("  {line}")));
        Ok((read_all(child)?, reason.join().unwrap_or_default()))
    })
}

/// Runs a program whose output is for the person too.
///
/// # Errors
/// It is missing, or it failed.
pub fn run_told(command: &mut Command, doing: &str) -> Result<()> {
    let shown = std::io::stderr().as_fd().try_clone_to_owned().context("share the terminal")?;
    command.stdout(shown);
    ended(command, doing, |child| {
        let reason = last_line(child.stderr.take(), |line| eprintln!("  {line}"));
        Ok((Vec::new(), reason))
    })
    .map(drop)
}

/// Output, and the reason that a failure would have.
type Said = (Vec<u8>, String);

fn ended(
    command: &mut Command,
    doing: &str,
    listen: impl FnOnce(&mut Child) -> Result<Said>,
) -> Result<Vec<u8>> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|refusal| missing(&program, &refusal))?;
    let (output, reason) = listen(&mut child)?;
    let status: ExitStatus = child.wait().with_context(|| format!("wait for {program}"))?;
    if status.success() {
        if !reason.is_empty() {
            eprintln!("  {reason}");
        }
        return Ok(output);
    }
    if reason.is_empty() {
        bail!("{doing}: {program}: {status}")
    } else {
        bail!("{doing}: {reason}")
    }
}

fn missing(program: &str, refusal: &std::io::Error) -> anyhow::Error {
    if refusal.kind() == std::io::ErrorKind::NotFound {
        anyhow!("{program} is missing: run image/setup, which installs it")
    } else {
        anyhow!("{program} cannot be run: {refusal}")
    }
}

fn read_all(child: &mut Child) -> Result<Vec<u8>> {
    let mut output = Vec::new();
    if let Some(mut from) = child.stdout.take() {
        from.read_to_end(&mut output).context("read what a program says")?;
    }
    Ok(output)
}

/// Reads to the end, tells each line when the next one comes, and gives the last.
fn last_line(from: Option<ChildStderr>, tell: impl Fn(&str)) -> String {
    let mut last = String::new();
    let Some(from) = from else { return last };
    for line in BufReader::new(from).split(b'\n') {
        // What could not be read is missing from a message, no more.
        let Ok(line) = line else { break };
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        if !line.is_empty() {
            let before = std::mem::replace(&mut last, line);
            if !before.is_empty() {
                tell(&before);
            }
        }
    }
    last
}

/// Tells every few seconds how long it takes, until what it returns is dropped.
fn signs_of_life(doing: String) -> mpsc::Sender<()> {
    let (alive, is_over) = mpsc::channel::<()>();
    let began = Instant::now();
    thread::spawn(move || {
        while let Err(mpsc::RecvTimeoutError::Timeout) = is_over.recv_timeout(SIGN_OF_LIFE) {
            let end = if std::io::stderr().is_terminal() { '\r' } else { '\n' };
            eprint!("  {doing}: {} s{end}", began.elapsed().as_secs());
        }
    });
    alive
}

/// Nobody should wait longer than this without a word.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_missing_tool_is_one_sentence_that_says_what_to_do() {
        let refusal = run(&mut Command::new("no-such-tool"), "pack the root").unwrap_err();
        assert_eq!(
            format!("{refusal:#}"),
            "no-such-tool is missing: run image/setup, which installs it"
        );
    }

    #[test]
    fn a_failed_tool_is_told_with_its_own_last_words() {
        let script = "echo first >&2; echo no space left on device >&2; exit 1";
        for run in [run, run_shown] {
            let refusal = run(&mut shell(script), "pack the root").unwrap_err();
            assert_eq!(format!("{refusal:#}"), "pack the root: no space left on device");
        }
        let refusal = run_told(&mut shell("exit 3"), "build kube").unwrap_err();
        assert_eq!(format!("{refusal:#}"), "build kube: sh: exit status: 3");
    }

    #[test]
    fn the_output_of_a_good_one_is_given() {
        assert_eq!(run(&mut shell("echo out; echo note >&2"), "ask").unwrap(), b"out\n");
    }
}
