// SPDX-License-Identifier: Apache-2.0
//! What real programs say by each of the ways arrives as they said it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may stop where it stands"
)]

mod node;

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use kubermesh_log::{Query, Source};
use node::{Node, Pipe, example, soon};

#[test]
fn a_thousand_lines_of_a_service_arrive_in_order_with_their_priority() {
    let node = Node::start("");
    let mut pipe = Pipe::of("kubelet");
    node.attach(&pipe);
    (0..1000).for_each(|number| pipe.say(&format!("<4>line {number}\n")));
    soon("all lines are there", || node.said_by("kubelet").len() == 1000);
    let entries = node.read(&Query { service: Some("kubelet".to_owned()), ..Query::default() });
    for (number, entry) in entries.iter().enumerate() {
        assert_eq!(entry.message, format!("line {number}"));
        assert_eq!((entry.priority.number(), entry.source), (4, Source::Output));
        assert_eq!(entry.boot, "a".repeat(32));
    }
}

#[test]
fn a_line_written_to_the_kernels_log_is_found_with_its_writer() {
    let node = Node::start("");
    let words = format!("kubermesh-test: line of process {}", std::process::id());
    std::fs::write("/dev/kmsg", format!("<30>{words}\n")).unwrap();
    let wanted = words.strip_prefix("kubermesh-test: ").unwrap().to_owned();
    soon("the line is there", || node.said_by("kubermesh-test").contains(&wanted));
    assert!(!node.said_by("kernel").is_empty());
}

#[test]
fn our_workers_tracing_arrives_with_its_fields_and_a_big_entry_comes_by_memfd() {
    let node = Node::start("");
    let script = "mount --bind \"$1/run\" /run && exec \"$0\"";
    let mut speaker = Command::new("unshare");
    speaker.args(["--mount", "sh", "-c", script]).arg(example("speaker")).arg(node.root.path());
    let told = speaker.output().unwrap();
    assert!(told.status.success() && told.stderr.is_empty(), "{told:?}");
    soon("both entries are there", || node.said_by("speaker").len() == 2);
    let entries = node.read(&Query { service: Some("speaker".to_owned()), ..Query::default() });
    assert_eq!(entries[0].message, "it is\ntwo lines");
    assert_eq!((entries[0].priority.number(), entries[0].source), (3, Source::Journal));
    assert_eq!(entries[0].fields.get("F_ANSWER").map(String::as_str), Some("42"));
    assert_eq!((entries[1].message.len(), entries[1].left_out), (16_384, 383_616));
}

#[test]
fn logger_speaks_syslog_and_journald() {
    let node = Node::start("");
    let mut syslog = Command::new("logger");
    syslog.arg("--socket").arg(node.path("run/systemd/journal/dev-log"));
    assert!(
        syslog.args(["-t", "person", "-p", "user.err", "by syslog"]).status().unwrap().success()
    );
    soon("the first is there", || node.said_by("person") == ["by syslog"]);
    let script = "mount --bind \"$0/run\" /run && exec logger --journald";
    let mut journald = Command::new("unshare");
    journald.args(["--mount", "sh", "-c", script]).arg(node.root.path()).stdin(Stdio::piped());
    let mut journald = journald.spawn().unwrap();
    let words = b"SYSLOG_IDENTIFIER=person\nPRIORITY=5\nMESSAGE=by journald\n";
    journald.stdin.take().unwrap().write_all(words).unwrap();
    assert!(journald.wait().unwrap().success());
    soon("both are there", || node.said_by("person").len() == 2);
    let entries = node.read(&Query { service: Some("person".to_owned()), ..Query::default() });
    let told: Vec<_> =
        entries.iter().map(|entry| (entry.message.as_str(), entry.priority.number())).collect();
    assert_eq!(told, [("by syslog", 3), ("by journald", 5)]);
}

#[test]
fn a_descriptor_that_is_no_sealed_memory_is_counted_and_nobody_waits_for_it() {
    // Without the kernel's ring, which may go round at any time: that is counted too.
    let mut node = Node::start("rm \"$1/dev/kmsg\" && touch \"$1/dev/kmsg\"");
    let socket =
        rustix::net::socket(rustix::net::AddressFamily::UNIX, rustix::net::SocketType::DGRAM, None)
            .unwrap();
    let journal = node.path("run/systemd/journal/socket");
    let address = rustix::net::SocketAddrUnix::new(&journal).unwrap();
    rustix::net::connect(&socket, &address).unwrap();
    // How a client asks whether somebody is there: no entry, and none lost.
    rustix::net::send(&socket, b"", rustix::net::SendFlags::empty()).unwrap();
    let (endless, _writer) = rustix::pipe::pipe().unwrap();
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = rustix::net::SendAncillaryBuffer::new(&mut space);
    let attached = [endless.as_fd()];
    assert!(ancillary.push(rustix::net::SendAncillaryMessage::ScmRights(&attached)));
    rustix::net::sendmsg(&socket, &[], &mut ancillary, rustix::net::SendFlags::empty()).unwrap();
    rustix::net::send(
        &socket,
        b"SYSLOG_IDENTIFIER=x\nMESSAGE=after it\n",
        rustix::net::SendFlags::empty(),
    )
    .unwrap();
    soon("the next entry is there", || node.said_by("x") == ["after it"]);
    soon("the loss is reported", || node.latest().dropped == 1);
}

/// Who drops the last reference to a socket with SO_LINGER waits for its peer, socket(7): here for an hour.
#[test]
fn a_descriptor_whose_end_takes_an_hour_holds_nobody_up() {
    let node = Node::start("");
    let peer = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut end = std::net::TcpStream::connect(peer.local_addr().unwrap()).unwrap();
    end.set_nonblocking(true).unwrap();
    while end.write(&[0; 65536]).is_ok() {}
    let hour = std::time::Duration::from_secs(3600);
    rustix::net::sockopt::set_socket_linger(&end, Some(hour)).unwrap();
    let journal = UnixDatagram::unbound().unwrap();
    journal.connect(node.path("run/systemd/journal/socket")).unwrap();
    // What it has not read yet holds the last reference, and not we.
    node.signal("STOP");
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = rustix::net::SendAncillaryBuffer::new(&mut space);
    let attached = [end.as_fd()];
    assert!(ancillary.push(rustix::net::SendAncillaryMessage::ScmRights(&attached)));
    rustix::net::sendmsg(&journal, &[], &mut ancillary, rustix::net::SendFlags::empty()).unwrap();
    drop(end);
    journal.send(b"SYSLOG_IDENTIFIER=x\nMESSAGE=after it\n").unwrap();
    node.signal("CONT");
    soon("the next entry is there", || node.said_by("x") == ["after it"]);
}
