// SPDX-License-Identifier: Apache-2.0
//! The desk in a pipe or a file: each line with its node's name, and a line whenever a light shows something else.

use std::io::{self, Write};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use kubermesh_qemu::Plain;

use crate::event::{Event, Events};
use crate::mesh::Mesh;
use crate::paint::words;

/// Prints until all nodes are off or somebody ends us.
pub(crate) fn print(mesh: &Mesh, events: &Events) -> Result<()> {
    let mut pieces = vec![Plain::default(); mesh.count()];
    let mut looked = Instant::now();
    let mut lights = vec![String::new(); mesh.count()];
    loop {
        match events.receiver.recv_timeout(LOOK_EVERY) {
            Ok(Event::Output(node, bytes)) => {
                for line in pieces[node].take_in(&bytes) {
                    write(node, '|', &line)?;
                }
            }
            Ok(Event::End) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
            Ok(Event::Light | Event::Keys(_) | Event::Resized) => {}
            Err(RecvTimeoutError::Timeout) if !mesh.is_on() => return Ok(()),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if looked.elapsed() < LOOK_EVERY {
            continue;
        }
        looked = Instant::now();
        for (node, before) in lights.iter_mut().enumerate() {
            let words = words(&mesh.look(node));
            if words != *before {
                write(node, '*', &words)?;
                *before = words;
            }
        }
    }
}

fn write(node: usize, mark: char, line: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "node{}{mark} {line}", node + 1)
        .and_then(|()| out.flush())
        .context("write a line")
}

/// How soon a change of rhythm is told.
const LOOK_EVERY: Duration = Duration::from_millis(500);
