// SPDX-License-Identifier: Apache-2.0
//! The node's own workers live on over a crash and an upgrade: their channels, the pipes of what services say, and what they
//! were told to watch.

use anyhow::{Context, Result, ensure};
use kubermesh_tests::stage::{Running, Stage, node_program};
use rustix::process::Signal;
use serde_json::json;

use super::{new_init, upgrade};

const WORKERS: [&str; 3] = ["light", "probe", "log"];

/// Says a line each time that it is told to.
const TALKER: &str = r#"command = ["/actor", "await", "/run/first", "say", "first words", "await", "/run/second", "say", "second words", "stay"]"#;

/// What `probe` asks it, often enough for a test.
const WATCHED: &str = "[health]\nping = \"/run/kubermesh/health/log\"\nevery = \"2s\"\ntimeout = \"2s\"\nfailures = 2\n";

#[test]
fn workers_live_on_over_a_crash_and_an_upgrade_and_go_on_with_their_work() -> Result<()> {
    let program = new_init()?;
    let mut stage = Stage::new()?
        .program(node_program("kubermesh")?, "/usr/bin/kubermesh")
        .program(program.path(), "/new")
        .service("talker", TALKER);
    for name in WORKERS {
        let rest = if name == "log" { WATCHED } else { "" };
        stage = stage.service(
            name,
            &format!("command = [\"/usr/bin/kubermesh\", \"{name}\"]\nworker = true\n[ready]\nnotify = true\n{rest}"),
        );
    }
    let stage = stage.start_node()?;
    let before = WORKERS
        .map(|name| stage.wait_state(name, "running").map(|service| service.pid))
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    stage.signal(1, Signal::SEGV)?;
    // `log` reads the kernel's log too, which is a FIFO here: what is said there may reach it alone.
    stage.wait_until("the recovery", |stage| {
        Ok(stage.call("Status", &json!({}))?["recoveries"] == 1)
    })?;
    upgrade(&stage)?;
    for (name, pid) in WORKERS.into_iter().zip(&before) {
        let now = stage.service(name)?;
        ensure!((now.pid, now.starts) == (*pid, 1), "{name} was process {pid:?}, is {now:?}");
    }
    stage.write("/run/first", "")?;
    is_in_the_log(&stage, "first words")?;
    // `probe` finds that it does not answer and says so over its channel.
    stage.signal(stage.service("log")?.pid.context("no process")?, Signal::STOP)?;
    stage.wait_until("the log's second run", |stage| {
        let log = stage.service("log")?;
        Ok(log.starts == 2 && log.state == "running")
    })?;
    stage.write("/run/second", "")?;
    is_in_the_log(&stage, "second words")?;
    for (name, pid) in [("light", before[0]), ("probe", before[1])] {
        let now = stage.service(name)?;
        ensure!((now.pid, now.starts) == (pid, 1), "{name} was process {pid:?}, is {now:?}");
    }
    Ok(())
}

/// What a service says goes through its pipe to `log`, and from there to who asks.
fn is_in_the_log(stage: &Running, words: &str) -> Result<()> {
    stage.wait_until(words, |stage| {
        let logs = stage.exec(&["/usr/bin/kubermesh", "logs", "talker"])?;
        Ok(String::from_utf8_lossy(&logs.stdout).contains(words))
    })
}
