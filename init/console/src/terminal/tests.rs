// SPDX-License-Identifier: Apache-2.0
//! Terminals as they are: ptys that nobody reads, that hang up, that get Ctrl-S and keys. The
//! kernel's log is a socket pair that keeps records whole, as `/dev/kmsg` does.
#![expect(clippy::arithmetic_side_effects, reason = "a sum of a test that overflows fails it")]

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::thread::JoinHandle;

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};

use super::*;

struct Desk {
    folder: tempfile::TempDir,
    person: OwnedFd,
    records: OwnedFd,
    terminal: Terminal,
    number: u64,
}

/// The person's end of a new pty, and the path of the node's end.
fn pty() -> (OwnedFd, PathBuf) {
    let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    unlockpt(&person).unwrap();
    rustix::fs::fcntl_setfl(&person, OFlags::NONBLOCK).unwrap();
    let path = ptsname(&person, Vec::new()).unwrap().into_string().unwrap();
    (person, path.into())
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (person, path) = pty();
        std::os::unix::fs::symlink(path, folder.path().join("ttyS0")).unwrap();
        let (records, source) = kubermesh_sys::seqpacket::pair().unwrap();
        let log = KernelLog::over(File::from(source), 0);
        let control = folder.path().join("control");
        let terminal = Terminal::new(&folder.path().join("ttyS0"), &control, log, Instant::now());
        Self { folder, person, records, terminal, number: 0 }
    }

    fn kernel_says(&mut self, text: &str) -> bool {
        let record = format!("6,{},{},-;{text}\n", self.number, self.number * 1_000_000);
        self.number += 1;
        kubermesh_sys::seqpacket::send(&self.records, record.as_bytes(), None).is_ok()
    }

    fn press(&self, keys: &[u8]) {
        rustix::io::write(&self.person, keys).unwrap();
    }

    /// Turns until what the person reads ends with `end`; all that was read. Ten seconds at most.
    fn read_until(&mut self, end: &str) -> String {
        let start = Instant::now();
        let mut text = Vec::new();
        let mut piece = [0; 4096];
        while !String::from_utf8_lossy(&text).ends_with(end) {
            let so_far = String::from_utf8_lossy(&text);
            assert!(start.elapsed() < Duration::from_secs(10), "no {end:?} after {so_far:?}");
            self.terminal.turn(None, Instant::now());
            match rustix::io::read(&self.person, &mut piece) {
                Ok(length) => text.extend_from_slice(&piece[..length]),
                Err(Errno::AGAIN | Errno::IO) => std::thread::sleep(Duration::from_millis(2)),
                Err(refusal) => panic!("read the pty: {refusal}"),
            }
        }
        String::from_utf8(text).unwrap()
    }

    /// PID 1 takes one connection and gives these answers; the calls that it heard.
    fn pid_one(&self, answers: &'static [&'static str]) -> JoinHandle<Vec<String>> {
        let listener = UnixListener::bind(self.folder.path().join("control")).unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut calls = Vec::new();
            for answer in answers {
                let mut call = Vec::new();
                let mut byte = [1];
                while stream.read_exact(&mut byte).is_ok() && byte[0] != 0 {
                    call.push(byte[0]);
                }
                calls.push(String::from_utf8(call).unwrap());
                stream.write_all(answer.as_bytes()).unwrap();
                stream.write_all(&[0]).unwrap();
            }
            calls
        })
    }
}

const GREETING: &str = "Kubermesh console. Press s for status, h for help.\r\n";

#[test]
fn the_kernels_log_arrives_from_its_first_line_on() {
    let mut desk = Desk::new();
    desk.kernel_says("Linux version 6.12");
    desk.kernel_says("kubermesh: status=booting mounting the file systems");
    let text = desk.read_until("systems\r\n");
    let lines = "[    0.000000] Linux version 6.12\r\n\
         [    1.000000] kubermesh: status=booting mounting the file systems\r\n";
    assert_eq!(text, format!("{GREETING}{lines}"));
}

#[test]
fn a_terminal_that_nobody_reads_loses_no_line_and_breaks_none() {
    let mut desk = Desk::new();
    let mut wanted = String::from(GREETING);
    // Far more than a pty holds; the rest waits in the kernel's ring.
    for number in 0..200 {
        let text = format!("kubermesh: status=meshed {number} {}", "x".repeat(300));
        assert!(desk.kernel_says(&text));
        wanted.push_str(&format!("[{number:5}.000000] {text}\r\n"));
        let start = Instant::now();
        desk.terminal.turn(None, start);
        assert!(start.elapsed() < Duration::from_secs(1), "a turn waited for the terminal");
    }
    assert!(!desk.terminal.outbox.is_empty(), "the pty took everything: this test shows nothing");
    assert_eq!(desk.terminal.wake_at(Instant::now()), None, "a stuck terminal needs no clock");
    let last = wanted.lines().next_back().unwrap().to_owned();
    assert_eq!(desk.read_until(&format!("{last}\r\n")), wanted);
}

#[test]
fn what_the_kernel_overwrote_meanwhile_is_counted() {
    let mut desk = Desk::new();
    desk.kernel_says("first");
    desk.number = 41;
    desk.kernel_says("last");
    assert_eq!(
        desk.read_until("last\r\n"),
        format!(
            "{GREETING}[    0.000000] first\r\n… 40 lines not shown\r\n[   41.000000] last\r\n"
        )
    );
}

#[test]
fn ctrl_s_stops_nothing() {
    let mut desk = Desk::new();
    desk.read_until(GREETING);
    desk.press(b"\x13");
    desk.terminal.turn(None, Instant::now());
    desk.kernel_says("still here");
    assert_eq!(desk.read_until("here\r\n"), "[    0.000000] still here\r\n");
}

#[test]
fn a_terminal_that_hung_up_is_opened_again_and_goes_on_with_the_next_line() {
    let mut desk = Desk::new();
    desk.kernel_says("before");
    desk.read_until("before\r\n");
    let (person, path) = pty();
    std::fs::remove_file(desk.folder.path().join("ttyS0")).unwrap();
    std::os::unix::fs::symlink(path, desk.folder.path().join("ttyS0")).unwrap();
    desk.person = person;
    desk.kernel_says("after");
    let now = Instant::now();
    desk.terminal.turn(None, now);
    let rest = desk.terminal.wake_at(now).unwrap().saturating_duration_since(now);
    assert_eq!(rest, Duration::from_secs(1));
    assert_eq!(desk.read_until("after\r\n"), "[    1.000000] after\r\n");
}

#[test]
fn a_person_restarts_a_service_by_its_number() {
    let mut desk = Desk::new();
    desk.read_until(GREETING);
    let listed = desk.pid_one(&[r#"{"parameters":{"services":[
        {"name":"bird","state":"running","pid":7,"since":0,"starts":1,"failures":0,"sentence":""},
        {"name":"kubelet","state":"running","pid":8,"since":0,"starts":1,"failures":0,"sentence":""}]}}"#]);
    desk.press(b"r");
    let text = desk.read_until("kubelet\r\n");
    assert!(text.starts_with("Restart which service?"), "{text}");
    assert_eq!(
        listed.join().unwrap(),
        [r#"{"method":"org.kubermesh.Node.Services","parameters":{}}"#]
    );
    std::fs::remove_file(desk.folder.path().join("control")).unwrap();
    let restarted = desk.pid_one(&[r#"{"parameters":{}}"#]);
    std::thread::sleep(Duration::from_millis(50)); // a person has read the question
    desk.press(b"2\r");
    assert_eq!(desk.read_until("again.\r\n"), "kubelet is stopped and started again.\r\n");
    assert_eq!(
        restarted.join().unwrap(),
        [r#"{"method":"org.kubermesh.Node.Restart","parameters":{"service":"kubelet"}}"#]
    );
}

#[test]
fn a_reboot_reaches_pid_one_only_after_yes() {
    let mut desk = Desk::new();
    desk.read_until(GREETING);
    desk.press(b"B");
    desk.read_until("Reboot this node? y: yes, any other key: no.\r\n");
    let heard = desk.pid_one(&[r#"{"parameters":{}}"#]);
    std::thread::sleep(Duration::from_millis(50)); // a person has read the question
    desk.press(b"y");
    desk.read_until("starts again.\r\n");
    assert_eq!(
        heard.join().unwrap(),
        [r#"{"method":"org.kubermesh.Node.Reboot","parameters":{}}"#]
    );
}

#[test]
fn where_pid_one_does_not_answer_the_person_is_told_and_the_log_goes_on() {
    let mut desk = Desk::new();
    desk.read_until(GREETING);
    let _listener = UnixListener::bind(desk.folder.path().join("control")).unwrap();
    desk.press(b"s");
    let asked = Instant::now();
    desk.terminal.turn(None, asked);
    desk.kernel_says("meanwhile");
    desk.read_until("meanwhile\r\n");
    let mut status = Status::at_start();
    status.sentence = "mounting".to_owned();
    desk.terminal.turn(Some(&status), asked + Duration::from_secs(5));
    let text = desk.read_until("PID 1 last said: status=booting mounting\r\n");
    assert!(text.contains("/control gave no answer within 5s\r\n"), "{text}");
}

#[test]
fn the_last_errors_are_the_faults_and_the_kernels_warnings() {
    let mut desk = Desk::new();
    let record = b"3,0,1000000,-;nvme0: I/O error\n";
    kubermesh_sys::seqpacket::send(&desk.records, record, None).unwrap();
    desk.read_until("I/O error\r\n");
    let _heard = desk.pid_one(&[r#"{"parameters":{"hostname":"a","address":"","router_id":"",
        "identity":"","version":"1","now":9000,"word":"isolated","recoveries":0,
        "status":{"phase":"isolated","sentence":"x","since":0,
            "faults":[{"subject":"service bird","sentence":"failed 3 times","since":4000}]},
        "pods":{"wanted":0,"running":0,"sentence":""},
        "log":{"entries":0,"dropped":0,"faults":[]}}}"#]);
    desk.press(b"l");
    assert_eq!(
        desk.read_until("error\r\n"),
        "  fault      service bird: failed 3 times (for 5s)\r\n  [    1.000000] nvme0: I/O error\r\n"
    );
}
