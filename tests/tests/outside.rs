// SPDX-License-Identifier: Apache-2.0
//! What comes over PID 1 from outside in numbers that nobody would send on purpose. docs/faults.md lists the rest.

#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may stop where it stands"
)]

use std::cell::RefCell;
use std::io::{ErrorKind, IoSlice, Write};
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use kubermesh_tests::stage::{Running, Stage};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use rustix::process::Signal;
use serde_json::json;

const STAYS: &str = "command = [\"/actor\", \"stay\"]";

#[test]
fn a_hundred_thousand_uevents_keep_nobody_waiting_and_hide_no_end() -> Result<()> {
    let stage = Stage::new()?.service("good", STAYS).start_node()?;
    let first = stage.wait_state("good", "running")?.pid.context("no process")?;
    let before = memory(&stage)?;
    let (storm, answers) = std::thread::scope(|scope| -> Result<_> {
        let storm = scope.spawn(|| {
            stage.inside(|root| {
                for _ in 0..100_000 {
                    std::fs::write(root.join("sys/class/net/lo/uevent"), "change")?;
                }
                Ok(())
            })
        });
        let mut answers = Vec::new();
        while !storm.is_finished() {
            let began = Instant::now();
            stage.call("Status", &json!({}))?;
            answers.push(began.elapsed());
        }
        Ok((storm.join().map_err(|_| anyhow::anyhow!("the storm broke off"))?, answers))
    })?;
    storm?;
    println!("{} answers meanwhile, the slowest after {:?}", answers.len(), answers.iter().max());
    stage.signal(first, Signal::KILL)?;
    stage.wait_until("a second run", |stage| {
        let now = stage.service("good")?;
        Ok(now.state == "running" && now.pid != Some(first))
    })?;
    let grown = memory(&stage)?.saturating_sub(before);
    ensure!(grown < 1024, "PID 1 grew by {grown} KiB");
    ensure!(stage.call("Status", &json!({}))?["recoveries"] == 0);
    Ok(())
}

#[test]
fn a_client_that_asks_and_never_reads_costs_nobody_an_answer_and_no_memory() -> Result<()> {
    let stage = Stage::new()?.service("good", STAYS).start_node()?;
    stage.wait_state("good", "running")?;
    let before = memory(&stage)?;
    let question = b"{\"method\":\"org.kubermesh.Node.Services\"}\0".repeat(256);
    let mut silent = stage.client_as(0)?;
    silent.socket().set_nonblocking(true)?;
    // It is hung up on, or no longer listened to: either is well.
    let gone = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
    let (mut asked, mut refused) = (0, 0);
    while refused < 100 {
        match silent.socket().write(&question) {
            Ok(bytes) => asked += bytes,
            Err(error) if error.kind() == ErrorKind::WouldBlock => refused += 1,
            Err(error) if gone.contains(&error.kind()) => break,
            Err(error) => bail!("it hears {error}"),
        }
        ensure!(asked < 64 << 20, "it may ask for ever");
        stage.call("Status", &json!({}))?;
    }
    println!("{asked} bytes of questions were taken");
    let grown = memory(&stage)?.saturating_sub(before);
    ensure!(grown < 1024, "PID 1 grew by {grown} KiB");
    Ok(())
}

/// The kernel (6.18) ends every process that is born where `cgroup.kill` was written, and does not say that it was.
#[test]
fn a_service_whose_cgroup_somebody_else_killed_starts_again() -> Result<()> {
    let stage = Stage::new()?.service("good", STAYS).service("other", STAYS).start_node()?;
    // In its own, and in the one above.
    for (cgroup, after) in [("system/good", 2), ("system", 3)] {
        stage.wait_state("good", "running")?;
        std::fs::write(stage.cgroup().join(cgroup).join("cgroup.kill"), "1")?;
        stage.wait_until("the next run of the killed service", |stage| {
            let good = stage.service("good")?;
            Ok(good.starts >= after && good.state == "running")
        })?;
    }
    stage.wait_state("other", "running")?;
    Ok(())
}

/// What PID 1 holds in memory, KiB.
fn memory(stage: &Running) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{}/status", stage.pid()))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// Who drops the last reference to a socket with SO_LINGER waits for its peer, socket(7): here for an hour.
#[test]
fn a_descriptor_whose_end_takes_an_hour_holds_nobody_up() -> Result<()> {
    let stage = Stage::new()?.service("good", STAYS).start_node()?;
    stage.wait_state("good", "running")?;
    let answers = |after: &str| -> Result<()> {
        let began = Instant::now();
        stage.call("Status", &json!({})).with_context(|| format!("after {after}"))?;
        println!("an answer {:?} after {after}", began.elapsed());
        Ok(())
    };
    // Gone, they would end the wait.
    let mut peers = Vec::new();
    let mut after = |what: &str, deed: &dyn Fn(Lingering) -> Result<TcpListener>| -> Result<()> {
        // What it has not read yet holds the last reference, and not we.
        stage.signal(1, Signal::STOP)?;
        peers.push(deed(Lingering::new()?)?);
        stage.signal(1, Signal::CONT)?;
        answers(what)
    };
    let nobody = RefCell::new(stage.client_as(65534)?);
    after("a call of nobody's", &|lingering| {
        send_along(nobody.borrow_mut().socket(), b"{", lingering)
    })?;
    let hung_up = RefCell::new(stage.client_as(65534)?);
    after("what is never read", &|lingering| {
        // That is no Varlink.
        hung_up.borrow_mut().socket().write_all(b"x\0")?;
        send_along(hung_up.borrow_mut().socket(), b"{", lingering)
    })?;
    let root = RefCell::new(stage.client()?);
    after("a call of root's", &|lingering| {
        send_along(root.borrow_mut().socket(), b"{", lingering)
    })?;
    drop(root);
    answers("root hangs up")?;
    after("a word by sd_notify", &|lingering| {
        stage.inside(|folder| {
            let words = UnixDatagram::unbound()?;
            words.connect(folder.join("run/kubermesh/notify"))?;
            send_along(&words, b"BARRIER=1", lingering)
        })
    })
}

/// A connection with something to send that its peer never takes.
struct Lingering {
    end: TcpStream,
    peer: TcpListener,
}

impl Lingering {
    fn new() -> Result<Self> {
        let peer = TcpListener::bind("127.0.0.1:0")?;
        let mut end = TcpStream::connect(peer.local_addr()?)?;
        end.set_nonblocking(true)?;
        while end.write(&[0; 65536]).is_ok() {}
        rustix::net::sockopt::set_socket_linger(&end, Some(Duration::from_secs(3600)))?;
        Ok(Self { end, peer })
    }
}

/// What is sent along has its last reference in the socket.
fn send_along(socket: &impl AsFd, words: &[u8], along: Lingering) -> Result<TcpListener> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let rights = [along.end.as_fd()];
    ancillary.push(SendAncillaryMessage::ScmRights(&rights));
    rustix::net::sendmsg(socket, &[IoSlice::new(words)], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(along.peer)
}
