// SPDX-License-Identifier: Apache-2.0
//! Readers: the last lines, what comes, and one who stands still.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may stop where it stands"
)]

mod node;

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use kubermesh_log::{Query, client};
use node::{Node, Pipe, STATE, soon};

#[test]
fn a_reader_gets_what_he_asked_for() {
    let node = Node::start("");
    let (mut net, mut bird) = (Pipe::of("net"), Pipe::of("bird"));
    node.attach(&net);
    node.attach(&bird);
    for number in 0..200 {
        net.say(&format!("{number} {}\n", "x".repeat(3000)));
        bird.say(&format!("<{}>{number}\n", number % 8));
    }
    soon("all are there", || node.said_by("net").len() + node.said_by("bird").len() == 400);
    let of = |lines, priority| Query {
        service: Some("bird".to_owned()),
        lines,
        priority,
        ..Query::default()
    };
    let last: Vec<String> =
        node.read(&of(Some(3), None)).into_iter().map(|entry| entry.message).collect();
    assert_eq!(last, ["197", "198", "199"]);
    let errors: Vec<String> =
        node.read(&of(Some(4), Some(1))).into_iter().map(|entry| entry.message).collect();
    assert_eq!(errors, ["184", "185", "192", "193"]);
    assert_eq!(node.read(&of(Some(1000), None)).len(), 200);
}

#[test]
fn a_follower_gets_the_past_and_then_each_line_as_it_comes_once() {
    let node = Node::start("");
    let mut pipe = Pipe::of("net");
    node.attach(&pipe);
    (0..50).for_each(|number| pipe.say(&format!("{number}\n")));
    soon("all are there", || node.said_by("net").len() == 50);
    let query = Query {
        service: Some("net".to_owned()),
        lines: Some(10),
        follow: Some(true),
        ..Query::default()
    };
    let mut entries = client::read_at(&node.path("run/kubermesh/log/socket"), &query).unwrap();
    for number in 40..500 {
        if number >= 50 {
            pipe.say(&format!("{number}\n"));
        }
        assert_eq!(entries.next().unwrap().unwrap().message, number.to_string());
    }
}

/// A frozen file system holds who writes, as a disk that hangs does. It lets read, so that what is asked of it is seen.
#[test]
fn a_reader_is_not_sent_to_a_disk_that_does_not_answer() {
    let mut node = Node::start(STATE);
    let mut pipe = Pipe::of("net");
    node.attach(&pipe);
    pipe.say("before\n");
    soon("it is on STATE", || node.said_by("net") == ["before"] && !node.said_by("log").is_empty());
    node.await_kept("before");
    let thaw = Thaw(node.pid(), node.path("state").display().to_string());
    thaw.freeze("--freeze");
    pipe.say("meanwhile\n");
    soon("the fault is told", || !node.latest().faults.is_empty());
    let said = node.said_by("net");
    drop(thaw);
    assert_eq!(said, ["meanwhile"]);
    pipe.say("after\n");
    soon("all are there", || node.said_by("net") == ["before", "meanwhile", "after"]);
    soon("nothing is wrong", || node.latest().faults.is_empty());
}

/// The worker's pid and its STATE. Left frozen, it would keep both for ever.
struct Thaw(String, String);

impl Thaw {
    fn freeze(&self, word: &str) {
        let mut command = std::process::Command::new("nsenter");
        command.args(["--target", &self.0, "--mount", "fsfreeze", word, &self.1]);
        assert!(command.status().unwrap().success(), "fsfreeze {word}");
    }
}

impl Drop for Thaw {
    fn drop(&mut self) {
        self.freeze("--unfreeze");
    }
}

#[test]
fn a_reader_who_stands_still_is_let_go_of_and_holds_up_nobody() {
    let node = Node::start("");
    let mut pipe = Pipe::of("loud");
    node.attach(&pipe);
    let mut still = UnixStream::connect(node.path("run/kubermesh/log/socket")).unwrap();
    let call = br#"{"method":"org.kubermesh.Log.Read","parameters":{"follow":true},"more":true}"#;
    still.write_all(&[&call[..], b"\0"].concat()).unwrap();
    let line = format!("{}\n", "x".repeat(999));
    let begun = Instant::now();
    (0..3000).for_each(|_| pipe.say(&line));
    assert!(begun.elapsed() < Duration::from_secs(60), "the reader held up a service");
    // Only its end closes the socket; what he could have had is still in the buffer.
    soon("he is let go of", || {
        let mut poll = [rustix::event::PollFd::new(&still, rustix::event::PollFlags::empty())];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut poll, Some(&now)).unwrap() == 1
    });
    assert!(!node.said_by("loud").is_empty());
}

#[test]
fn what_is_no_call_of_ours_is_refused_in_varlinks_words() {
    let node = Node::start("");
    let cases = [
        (r#"{"method":"org.kubermesh.Log.Read"}"#, "org.varlink.service.ExpectedMore"),
        (r#"{"method":"org.kubermesh.Log.Erase"}"#, "org.varlink.service.MethodNotFound"),
        (
            r#"{"method":"org.kubermesh.Log.Read","parameters":{"lines":0},"more":true}"#,
            "org.varlink.service.InvalidParameter",
        ),
        (
            r#"{"method":"org.kubermesh.Log.Read","parameters":{"line":1},"more":true}"#,
            "org.varlink.service.InvalidParameter",
        ),
        (
            r#"{"method":"org.varlink.service.GetInterfaceDescription"}"#,
            "interface org.kubermesh.Log",
        ),
    ];
    for (call, wanted) in cases {
        let mut stream = UnixStream::connect(node.path("run/kubermesh/log/socket")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(&[call.as_bytes(), b"\0"].concat()).unwrap();
        let mut answer = vec![0; 65_536];
        let read = stream.read(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
        assert!(answer.contains(wanted), "{call}: {answer}");
    }
    let mut endless = UnixStream::connect(node.path("run/kubermesh/log/socket")).unwrap();
    endless.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let _ = endless.write_all(&[b' '; 100_000]);
    // It is hung up on, and what it wrote may be unread then. No answer in time is not that.
    let heard = endless.read(&mut [0; 16]).or_else(|refusal| {
        if refusal.kind() == ErrorKind::ConnectionReset { Ok(0) } else { Err(refusal) }
    });
    assert_eq!(heard.unwrap(), 0);
}

#[test]
fn an_idle_worker_sleeps() {
    let node = Node::start("");
    let mut pipe = Pipe::of("net");
    node.attach(&pipe);
    pipe.say("<3>an error is brought to the disk at once\n");
    soon("it is there", || node.said_by("net").len() == 1);
    let sleeps = || {
        let threads = std::fs::read_dir(format!("/proc/{}/task", node.pid())).unwrap();
        let counts = threads.map(|thread| {
            let status = std::fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
            let line = status.lines().find(|line| line.starts_with("voluntary_ctxt")).unwrap();
            line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
        });
        counts.sum::<u64>()
    };
    // It hears this machine's kernel too, which speaks when it likes; and the file is brought to the
    // disk 5 s after the last entry. A worker that wakes by itself has no quiet span at all.
    let quiet = || {
        let before = sleeps();
        std::thread::sleep(Duration::from_secs(5));
        sleeps() - before
    };
    let spans: Vec<u64> =
        std::iter::repeat_with(quiet).take(12).take_while(|woke| *woke > 1).collect();
    assert!(spans.len() < 12, "wakeups in 5 s each: {spans:?}");
}
