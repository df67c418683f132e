// SPDX-License-Identifier: Apache-2.0
//! Sets a stage for `kubermesh_tests::stage`: three processes that execute each other.
//!
//! [`keep`] is root of this machine, [`enter`] goes into the namespaces and waits for PID 1, and
//! [`first`] is PID 1 until it becomes the init under test. All three speak over one socket, which
//! is their standard input.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "runs on a person's machine, never on a node: a panic here is a failed test with its place"
)]

mod cgroup;
mod enter;
mod first;
mod keep;

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use anyhow::{Context, Result};
use kubermesh_tests::stage::Opened;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["keep"] => keep::keep(),
        ["enter"] => enter::enter(),
        ["first", root, command @ ..] => first::first(root.as_ref(), command),
        _ => {
            eprintln!("kubermesh-stage is started by tests: kubermesh_tests::stage::Stage");
            return ExitCode::from(2);
        }
    };
    let Err(refusal) = done else { return ExitCode::SUCCESS };
    // Who listens may be gone: then nobody wants to know.
    let _ =
        socket().and_then(|mut socket| say(&mut socket, &Opened::Failed(format!("{refusal:#}"))));
    ExitCode::FAILURE
}

/// The socket to whoever started this process.
fn socket() -> Result<UnixStream> {
    let standard_input = std::io::stdin();
    let own = standard_input.as_fd().try_clone_to_owned().context("take the socket")?;
    Ok(UnixStream::from(own))
}

fn say(socket: &mut UnixStream, opened: &Opened) -> Result<()> {
    let mut line = serde_json::to_vec(opened)?;
    line.push(b'\n');
    Ok(socket.write_all(&line)?)
}

/// One line, and not a byte more: what follows may be for another process. None at the end.
fn read_line(socket: &mut UnixStream) -> Result<Option<String>> {
    let mut line = Vec::new();
    let mut byte = [0];
    while socket.read(&mut byte).context("read from the socket")? > 0 {
        if byte == *b"\n" {
            return Ok(Some(String::from_utf8(line)?));
        }
        line.extend(byte);
    }
    Ok(None)
}
