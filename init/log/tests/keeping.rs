// SPDX-License-Identifier: Apache-2.0
//! What is kept stays: over the worker's death, a move to STATE, a full disk.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may stop where it stands"
)]

mod node;

use std::io::Read;
use std::time::{Duration, Instant};

use kubermesh_log::Query;
use node::{Node, Pipe, STATE, soon};

#[test]
fn a_killed_worker_loses_no_line_and_none_comes_twice() {
    let mut node = Node::start("");
    let mut pipe = Pipe::of("bird");
    node.attach(&pipe);
    (0..300).for_each(|number| pipe.say(&format!("{number}\n")));
    soon("they are kept", || node.said_by("bird").len() == 300);
    // A power cut or a kill may take what is not there yet.
    node.await_kept("299");
    node.kill("KILL");
    (300..600).for_each(|number| pipe.say(&format!("{number}\n")));
    node.start_worker("");
    node.attach(&pipe);
    soon("all are there", || node.said_by("bird").len() >= 600);
    let wanted: Vec<String> = (0..600).map(|number| number.to_string()).collect();
    assert_eq!(node.said_by("bird"), wanted);
    let all = node.read(&Query { boot: Some("all".to_owned()), ..Query::default() });
    let kernel: Vec<u64> = all.iter().filter_map(|entry| entry.sequence).collect();
    assert!(kernel.len() > 10 && kernel.is_sorted_by(|one, next| one < next), "{kernel:?}");
}

#[test]
fn a_worker_that_is_asked_to_end_keeps_also_the_line_that_has_no_end() {
    let mut node = Node::start("");
    let mut pipe = Pipe::of("net");
    node.attach(&pipe);
    pipe.say("whole\nhalf");
    node.kill("TERM");
    node.start_worker("");
    assert_eq!(node.said_by("net"), ["whole", "half"]);
}

#[test]
fn the_store_moves_to_state_when_that_is_mounted_and_outlives_the_boot() {
    let mut node = Node::start("");
    let mut pipe = Pipe::of("net");
    node.attach(&pipe);
    pipe.say("early\n");
    soon("it is there", || node.said_by("net") == ["early"]);
    node.inside(STATE);
    soon("it moves", || node.said_by("log") == ["the log is kept on STATE from now on"]);
    pipe.say("late\n");
    soon("both are there", || node.said_by("net") == ["early", "late"]);
    node.await_kept("late");
    let copy = tempfile::tempdir().unwrap();
    node.inside(&format!(
        "cp -a {}/state/log {}",
        node.root.path().display(),
        copy.path().display()
    ));
    node.kill("TERM");
    node.set_boot('b');
    node.start_worker(&format!("{STATE}; cp -a {}/log \"$1/state\"", copy.path().display()));
    node.attach(&pipe);
    pipe.say("next boot\n");
    soon("all are there", || node.said_by("net") == ["early", "late", "next boot"]);
    let of = |boot: Option<&str>| Query {
        service: Some("net".to_owned()),
        boot: boot.map(ToOwned::to_owned),
        ..Query::default()
    };
    assert_eq!(node.read(&of(None)).len(), 1);
    assert_eq!(node.read(&of(Some("previous"))).len(), 2);
    assert_eq!(node.read(&of(Some(&"a".repeat(32)))).len(), 2);
}

#[test]
fn on_a_full_disk_nobody_waits_what_is_lost_is_counted_and_all_is_well_again_afterwards() {
    let lost_by_kernel = lost_by_kernel();
    let mut node = Node::start(STATE);
    let mut pipe = Pipe::of("loud");
    node.attach(&pipe);
    pipe.say("before\n");
    soon("it is on STATE", || {
        node.said_by("loud") == ["before"] && !node.said_by("log").is_empty()
    });
    node.await_kept("before");
    node.inside(&format!("cat /dev/zero > {}/state/fill || true", node.root.path().display()));
    let begun = Instant::now();
    let line = format!("{}\n", "x".repeat(999));
    (0..2000).for_each(|_| pipe.say(&line));
    assert!(begun.elapsed() < Duration::from_secs(60), "a writer waited for the disk");
    soon("the fault is told", || {
        node.latest().faults.iter().any(|wrong| wrong.sentence.contains("No space left"))
    });
    soon("losses are counted", || node.latest().dropped > lost_by_kernel + 1000);
    assert!(node.said_by("loud").len() > 50, "the newest stay readable");
    assert_eq!(node.said_by("loud")[0], "before");
    node.inside(&format!("rm {}/state/fill", node.root.path().display()));
    pipe.say("after\n");
    soon("the fault is gone", || node.latest().faults.is_empty());
    let said = node.said_by("loud");
    assert_eq!((said[0].as_str(), said.last().unwrap().as_str()), ("before", "after"));
}

/// The kernel's ring has lost lines of its own since this machine began: its first one's number,
/// `priority,number,…` (Documentation/ABI/testing/dev-kmsg).
fn lost_by_kernel() -> u64 {
    let mut record = [0; 8192];
    let read = std::fs::File::open("/dev/kmsg").unwrap().read(&mut record).unwrap();
    let text = String::from_utf8_lossy(&record[..read]);
    text.split(',').nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_missing_state_is_a_fault_once_storage_has_reported_however_long_that_takes() {
    let mut node = Node::start("");
    let mut pipe = Pipe::of("net");
    node.attach(&pipe);
    pipe.say("early\n");
    soon("it is there", || node.said_by("net") == ["early"]);
    assert_eq!(node.latest().faults, []);
    node.say_stored();
    soon("the fault is told", || {
        let faults = node.latest().faults;
        faults.iter().any(|wrong| {
            wrong.subject == "log in memory"
                && wrong.sentence == "will not outlive this boot: STATE is not mounted"
        })
    });
    node.inside(STATE);
    soon("the fault is gone", || node.latest().faults.is_empty());
}

#[test]
fn a_read_only_state_is_told_and_the_log_stays_in_memory() {
    let mut node = Node::start(&STATE.replace("-o loop", "-o loop,ro"));
    soon("the fault is told", || {
        node.latest().faults.iter().any(|wrong| wrong.sentence.contains("Read-only file system"))
    });
    let mut pipe = Pipe::of("net");
    node.attach(&pipe);
    pipe.say("kept\n");
    soon("it is there", || node.said_by("net") == ["kept"]);
}
