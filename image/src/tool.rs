// SPDX-License-Identifier: Apache-2.0
//! Runs a program of the build machine: shows that it goes on, says in one sentence why it failed.

use std::io::{IsTerminal, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

/// Runs to the end and gives what it wrote to its standard output.
///
/// # Errors
/// It is missing, or it failed: the last line that it wrote to its standard error is the reason.
pub fn run(command: &mut Command, doing: &str) -> Result<Vec<u8>> {
    let program = command.get_program().to_string_lossy().into_owned();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|refusal| missing(&program, &refusal))?;
    let (stdout, stderr, status) = wait_with_signs_of_life(child, doing)?;
    if status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&stderr);
    let reason = stderr.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no reason given");
    bail!("{doing}: {program}: {reason}")
}

/// Runs with its standard error shown as it comes: for programs that say themselves what they do.
///
/// # Errors
/// It is missing, or it failed; it has said why.
pub fn run_shown(command: &mut Command, doing: &str) -> Result<Vec<u8>> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|refusal| missing(&program, &refusal))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    bail!("{doing} failed, as said above")
}

fn missing(program: &str, refusal: &std::io::Error) -> anyhow::Error {
    if refusal.kind() == std::io::ErrorKind::NotFound {
        anyhow!("{program} is missing: run image/setup, which installs it")
    } else {
        anyhow!("{program} cannot be run: {refusal}")
    }
}

type Ended = (Vec<u8>, Vec<u8>, std::process::ExitStatus);

fn wait_with_signs_of_life(mut child: Child, doing: &str) -> Result<Ended> {
    let began = Instant::now();
    let (done, is_done) = mpsc::channel::<()>();
    let mut errors = child.stderr.take().context("standard error was asked for")?;
    let reader = thread::spawn(move || {
        let mut text = Vec::new();
        // What could not be read is missing from a message, no more.
        let _ = errors.read_to_end(&mut text);
        text
    });
    let said = doing.to_owned();
    let sign = thread::spawn(move || {
        while let Err(mpsc::RecvTimeoutError::Timeout) = is_done.recv_timeout(SIGN_OF_LIFE) {
            let seconds = began.elapsed().as_secs();
            let end = if std::io::stderr().is_terminal() { '\r' } else { '\n' };
            eprint!("  {said}: {seconds} s{end}");
        }
    });
    let output = child.wait_with_output().with_context(|| format!("wait for {doing}"))?;
    drop(done);
    let (Ok(stderr), Ok(())) = (reader.join(), sign.join()) else {
        bail!("{doing}: a thread of ours ended early");
    };
    Ok((output.stdout, stderr, output.status))
}

/// Nobody should wait longer than this without a word.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

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
        let mut command = Command::new("sh");
        command.args(["-c", "echo first >&2; echo no space left on device >&2; exit 1"]);
        let refusal = run(&mut command, "pack the root").unwrap_err();
        assert_eq!(format!("{refusal:#}"), "pack the root: sh: no space left on device");
    }
}
