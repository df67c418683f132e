// SPDX-License-Identifier: Apache-2.0
//! The service of the bench: says when it was executed, and goes on. Small and static, so that it
//! costs every init the same.
//!
//! ```text
//! runner NAME                      stamps, and sleeps for ever
//! runner NAME newline              the same, and says on descriptor 3 that it is up (s6)
//! runner zero [KEY=VALUE…] INIT…   stamps, and becomes the init under test
//! ```
//!
//! A stamp is a line of /stamps: name, pid, nanoseconds of CLOCK_MONOTONIC.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use rustix::time::{ClockId, clock_gettime};

const STAMPS: &str = "/stamps";

fn main() -> ExitCode {
    let now = clock_gettime(ClockId::Monotonic);
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let nanoseconds = now.tv_sec.saturating_mul(1_000_000_000).saturating_add(now.tv_nsec);
    let line = format!("{name} {} {nanoseconds}\n", std::process::id());
    let file = std::fs::File::options().append(true).create(true).open(STAMPS);
    // In one write, since many append at once.
    if file.and_then(|mut file| file.write_all(line.as_bytes())).is_err() {
        return ExitCode::FAILURE;
    }
    if name == "zero" {
        return become_init(arguments.collect());
    }
    if arguments.next().as_deref() == Some("newline") {
        let _ = std::fs::write("/proc/self/fd/3", "\n");
    }
    loop {
        std::thread::park();
    }
}

fn become_init(words: Vec<String>) -> ExitCode {
    let (variables, command): (Vec<_>, Vec<_>) =
        words.into_iter().partition(|word| !word.starts_with(['/', '-']) && word.contains('='));
    let pairs = variables.iter().filter_map(|word| word.split_once('='));
    let Some((program, rest)) = command.split_first() else { return ExitCode::from(2) };
    let refusal = Command::new(program).args(rest).env_clear().envs(pairs).exec();
    let _ = std::fs::write("/refusal", format!("execute {program}: {refusal}\n"));
    ExitCode::FAILURE
}
