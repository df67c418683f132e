// SPDX-License-Identifier: Apache-2.0
//! A storm of zombies: their parent dies, and PID 1 has them all at one moment.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kubermesh_tests::stage::Running;
use serde_json::json;

use crate::process;

/// What came of it, in milliseconds.
pub(crate) struct Storm {
    pub(crate) gone: f64,
    /// The longest answer meanwhile, where there is a control socket.
    pub(crate) answer: Option<f64>,
    /// The longest that the kernel kept somebody else meanwhile who asked for a child's end.
    pub(crate) lock: f64,
}

const LONGEST: Duration = Duration::from_secs(120);

/// Between two questions.
const EACH: Duration = Duration::from_millis(1);

/// Lets so many zombies loose, each of a process group of its own where they are `apart`. `asks`: it has our control socket.
pub(crate) fn blow(stage: &Running, count: usize, apart: bool, asks: bool) -> Result<Storm> {
    let mut parent = Parent::start(stage, count, apart)?;
    let mut zombies = parent.zombies(count)?;
    let mut client = if asks { Some(stage.client_as(0)?) } else { None };
    let (over, nsenter) = (AtomicBool::new(false), parent.nsenter.id());
    std::thread::scope(|scope| {
        let began = Instant::now();
        process::kill(parent.pid)?;
        let asking = client.as_mut().map(|client| {
            scope.spawn(|| -> Result<f64> {
                let mut longest: f64 = 0.0;
                loop {
                    let asked = Instant::now();
                    client.call("Status", &json!({}))?;
                    longest = longest.max(milliseconds(asked.elapsed()));
                    if over.load(Ordering::Relaxed) {
                        return Ok(longest);
                    }
                    std::thread::sleep(EACH);
                }
            })
        });
        let waiting = scope.spawn(|| {
            let mut longest: f64 = 0.0;
            while !over.load(Ordering::Relaxed) {
                let asked = Instant::now();
                // The kernel may also keep it from waking up.
                std::thread::sleep(EACH);
                process::looks_for_end(nsenter);
                longest = longest.max(milliseconds(asked.elapsed().saturating_sub(EACH)));
            }
            longest
        });
        // PID 1 gets them in order, so the last one is gone last; but all are looked at.
        let gone = loop {
            while zombies.last().is_some_and(|pid| process::is_gone(*pid)) {
                zombies.pop();
            }
            if zombies.is_empty() || began.elapsed() > LONGEST {
                break milliseconds(began.elapsed());
            }
            std::thread::sleep(Duration::from_micros(200));
        };
        over.store(true, Ordering::Relaxed);
        let answer = asking.map(|asking| asking.join().unwrap_or_else(|_| Ok(f64::NAN)));
        let lock = waiting.join().unwrap_or(f64::NAN);
        ensure!(zombies.is_empty(), "{} of {count} zombies are there after 2 min", zombies.len());
        Ok(Storm { gone, answer: answer.transpose()?, lock })
    })
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The actor that makes them and waits for none, and nsenter(1), which is its parent outside.
struct Parent {
    nsenter: Child,
    pid: u32,
}

impl Parent {
    fn start(stage: &Running, count: usize, apart: bool) -> Result<Self> {
        let zombie: &[&str] = if apart { &["setsid", "exit", "0"] } else { &["exit", "0"] };
        let nsenter = Command::new("nsenter")
            .args(["--all", "--root", "--wd=/", "--target", &stage.pid().to_string(), "--"])
            // What PID 1 started leads a session of its own, and so does what makes them here: they share its process
            // group, by which ours reaps them.
            .args(["/actor", "setsid", "start", &count.to_string(), "{"])
            .args(zombie)
            .args(["}", "stay"])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .spawn()
            .context("start nsenter")?;
        let began = Instant::now();
        loop {
            if let Some(pid) = process::children(nsenter.id()).first() {
                return Ok(Self { pid: *pid, nsenter });
            }
            ensure!(began.elapsed() < LONGEST, "nsenter starts nothing");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn zombies(&mut self, count: usize) -> Result<Vec<u32>> {
        let began = Instant::now();
        loop {
            let children = process::children(self.pid);
            // The last ones alone: whose entry in /proc was looked at costs the kernel five times as much
            // to let go of, and PID 1 with it.
            let is_dead = |pid: &u32| process::state(*pid) == Some('Z');
            if children.len() >= count && children.iter().rev().take(16).all(is_dead) {
                std::thread::sleep(Duration::from_secs(1));
                return Ok(children);
            }
            ensure!(self.nsenter.try_wait()?.is_none(), "the actor inside ended early");
            ensure!(began.elapsed() < LONGEST, "{} of {count} zombies in 2 min", children.len());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        let _ = process::kill(self.pid);
        let _ = self.nsenter.wait();
    }
}
