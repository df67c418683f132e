// SPDX-License-Identifier: Apache-2.0
//! `kubermesh-agent`: does in a guest what a test on the host asks for. Only test images carry it.
//!
//! It serves the virtio-serial port `org.kubermesh.test`. There is no udev, so the port is found by its name in
//! /sys/class/virtio-ports. While no host has the port open a read gives 0 bytes at once
//! (Linux, drivers/char/virtio_console.c), so the agent looks again after a while.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "only in test images: a panic here is a failed test"
)]

mod attempt;
mod deed;
mod jam;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use kubermesh_qemu::agent::protocol::{Answer, Request};

fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|word| word == "attempt") {
        attempt::all();
        return ExitCode::SUCCESS;
    }
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kubermesh-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<()> {
    let path = wait_for_port();
    let mut port = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .with_context(|| format!("open {}", path.display()))?;
    let mut pending = Vec::new();
    loop {
        let line = read_line(&mut port, &mut pending)
            .with_context(|| format!("read {}", path.display()))?;
        let Ok(request) = serde_json::from_slice::<Request>(&line) else {
            eprintln!("kubermesh-agent: a line that is no request, {} bytes", line.len());
            continue;
        };
        let answer = Answer { number: request.number, reply: deed::perform(request.deed) };
        let mut line = serde_json::to_vec(&answer).context("write an answer")?;
        line.push(b'\n');
        port.write_all(&line).with_context(|| format!("write {}", path.display()))?;
    }
}

fn read_line(port: &mut File, pending: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    let mut piece = [0; 65536];
    loop {
        if let Some(end) = pending.iter().position(|&byte| byte == b'\n') {
            let rest = pending.split_off(end + 1);
            return Ok(std::mem::replace(pending, rest));
        }
        match port.read(&mut piece) {
            Ok(0) => thread::sleep(LOOK_AGAIN),
            Ok(count) => pending.extend(piece.iter().take(count)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The driver may be loaded long after us; the service manager stops us if the test image is in no test.
fn wait_for_port() -> PathBuf {
    loop {
        if let Some(path) = find_port() {
            return path;
        }
        thread::sleep(LOOK_AGAIN);
    }
}

fn find_port() -> Option<PathBuf> {
    let ports = fs::read_dir("/sys/class/virtio-ports").ok()?;
    let port = ports.flatten().find(|port| {
        fs::read_to_string(port.path().join("name"))
            .is_ok_and(|name| name.trim_end() == "org.kubermesh.test")
    })?;
    Some(PathBuf::from("/dev").join(port.file_name())).filter(|path| path.exists())
}

const LOOK_AGAIN: Duration = Duration::from_millis(100);
