// SPDX-License-Identifier: Apache-2.0
//! The program from outside, as a container runtime sees it.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn beacon(argument: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_beacon"));
    command.arg(argument);
    command
}

/// A child that no failed test leaves behind.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether it sleeps in rt_sigtimedwait(2), call 128 of x86_64: a signal before that would kill it.
fn takes_signals(child: &Child) -> bool {
    std::fs::read_to_string(format!("/proc/{}/syscall", child.id()))
        .is_ok_and(|call| call.starts_with("128 "))
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(10), "waited 10 s for: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_pause_ends_well_when_it_is_told_to() {
    for name in ["TERM", "INT"] {
        let mut pause = Running(beacon("pause").spawn().unwrap());
        until("the pause to take signals", || takes_signals(&pause.0));
        let told = Command::new("kill").args(["-s", name, &pause.0.id().to_string()]).status();
        assert!(told.unwrap().success());
        until("the pause to end", || pause.0.try_wait().unwrap().is_some());
        assert_eq!(pause.0.wait().unwrap().code(), Some(0), "after SIG{name}");
    }
}

#[test]
fn an_unknown_argument_is_told_with_what_is_allowed() {
    let refused = beacon("serve").stderr(Stdio::piped()).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(refused.stderr).unwrap(),
        "beacon: unknown argument \"serve\", allowed is `pause` or none\n"
    );
}
