// SPDX-License-Identifier: Apache-2.0
//! Machines on a desk: a thread in network and mount namespaces of its own is one, with its own
//! `/run`; a veth pair is a cable; the worker runs in it against the real kernel and a real BIRD.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use kubermesh_net::Ground;
use kubermesh_node::channel::{Envelope, NetworkReport, Report};
use kubermesh_node::config::Config;
use kubermesh_node::identity::Identity;
use kubermesh_node::plan::Plan;
use kubermesh_sys::seqpacket;
use kubermesh_worker::{Channel, Health};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

type Job = Box<dyn FnOnce() + Send>;

/// A machine.
pub(crate) struct Machine {
    pub(crate) plan: Plan,
    jobs: mpsc::Sender<Job>,
    namespace: PathBuf,
    worker: Option<Worker>,
    bird: Option<Child>,
    seen: NetworkReport,
}

struct Worker {
    channel: OwnedFd,
    thread: std::thread::JoinHandle<()>,
}

impl Machine {
    /// A machine without a cable, switched off.
    pub(crate) fn new(number: u128, node_toml: &str) -> Self {
        let plan =
            Plan::new(Identity::from_bits(number), &Config::parse("node.toml", node_toml).unwrap());
        let (jobs, queue) = mpsc::channel::<Job>();
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            enter_namespaces();
            let thread = rustix::thread::gettid();
            tell.send(PathBuf::from(format!("/proc/{}/task/{thread}/ns/net", std::process::id())))
                .unwrap();
            queue.into_iter().for_each(|job| job());
        });
        let namespace = told.recv().expect("needs root and network namespaces");
        Self { plan, jobs, namespace, worker: None, bird: None, seen: NetworkReport::default() }
    }

    /// Runs a closure in the machine.
    pub(crate) fn inside<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (tell, told) = mpsc::channel();
        self.jobs.send(Box::new(move || tell.send(job()).unwrap())).unwrap();
        // Longer than any wait of its own.
        told.recv_timeout(Duration::from_secs(60)).expect("the machine does not answer")
    }

    /// Runs a command line in the machine; its output.
    pub(crate) fn run(&self, line: &str) -> String {
        let line = line.to_owned();
        self.inside(move || {
            let words: Vec<&str> = line.split_whitespace().collect();
            let out = Command::new(words[0]).args(&words[1..]).output().unwrap();
            assert!(out.status.success(), "{line}: {}", String::from_utf8_lossy(&out.stderr));
            String::from_utf8(out.stdout).unwrap()
        })
    }

    /// Reads a file of the machine.
    pub(crate) fn read(&self, path: &str) -> String {
        let path = path.to_owned();
        self.inside(move || std::fs::read_to_string(&path).unwrap_or_default())
    }

    /// Plugs a cable in, from a port here to a port there.
    pub(crate) fn cable(&self, port: &str, other: &Self, other_port: &str) {
        let there = other.namespace.display();
        self.run(&format!(
            "ip link add {port} mtu 2000 type veth peer name {other_port} mtu 2000 netns {there}"
        ));
    }

    /// Starts the worker, and BIRD as soon as its configuration is there.
    pub(crate) fn switch_on(&mut self) {
        self.start_worker();
        self.start_bird();
    }

    /// Starts the worker.
    pub(crate) fn start_worker(&mut self) {
        let (ours, theirs) = seqpacket::pair().unwrap();
        let plan = serde_json::to_string(&self.plan).unwrap();
        let thread = self.inside(move || {
            std::fs::create_dir_all("/run/kubermesh/health").unwrap();
            std::fs::write("/run/kubermesh/plan.json", plan).unwrap();
            let ground = Ground {
                cni: PathBuf::from("/run/etc-cni"),
                sys: PathBuf::from("/run/no-sysfs"),
                also_ports: vec!["eth0".into(), "eth1".into()],
                ..Ground::default()
            };
            // A thread begins in the namespaces of its maker.
            std::thread::spawn(move || {
                let health = Health::listen("net").unwrap();
                kubermesh_net::run_on(ground, Channel::over(theirs), health).unwrap();
            })
        });
        self.worker = Some(Worker { channel: ours, thread });
    }

    /// Asks the worker for its health, again and again, until what it returns is dropped.
    pub(crate) fn ask_for_health(&self) -> mpsc::Receiver<()> {
        let (until, dropped) = mpsc::sync_channel(0);
        self.inside(move || {
            std::thread::spawn(move || {
                while dropped_by_nobody(&until) {
                    let _ = UnixStream::connect("/run/kubermesh/health/net");
                }
            });
        });
        dropped
    }

    /// Ends the worker as PID 1 would: its channel closes.
    pub(crate) fn stop_worker(&mut self) {
        if let Some(Worker { channel, thread }) = self.worker.take() {
            drop(channel);
            thread.join().unwrap();
        }
    }

    /// Starts BIRD with the worker's configuration.
    pub(crate) fn start_bird(&mut self) {
        let bird = self.inside(|| {
            await_file(Path::new("/run/bird/bird.conf"));
            Command::new("bird")
                .args(["-f", "-c", "/run/bird/bird.conf", "-s", "/run/bird/bird.ctl"])
                .env("PATH", path())
                .stderr(Stdio::null())
                .spawn()
                .expect("needs bird: apt-get install bird2")
        });
        self.bird = Some(bird);
    }

    /// Kills BIRD.
    pub(crate) fn kill_bird(&mut self) {
        if let Some(mut bird) = self.bird.take() {
            bird.kill().unwrap();
            bird.wait().unwrap();
        }
    }

    /// Waits for a report of which this holds.
    pub(crate) fn await_report(
        &mut self,
        what: &str,
        holds: impl Fn(&NetworkReport) -> bool,
    ) -> NetworkReport {
        let end = Instant::now() + Duration::from_secs(30);
        while !holds(&self.seen) {
            assert!(Instant::now() < end, "{what} not within 30s: {:#?}", self.seen);
            self.next_report(end);
        }
        self.seen.clone()
    }

    fn next_report(&mut self, end: Instant) {
        let channel = &self.worker.as_ref().unwrap().channel;
        let mut wait = [rustix::event::PollFd::new(channel, rustix::event::PollFlags::IN)];
        let left = end.saturating_duration_since(Instant::now());
        rustix::event::poll(&mut wait, Some(&left.try_into().unwrap())).unwrap();
        let Ok(Some(message)) = seqpacket::receive(channel, 65536) else { return };
        let envelope: Envelope<Report> = serde_json::from_slice(&message.bytes).unwrap();
        if let Report::Network(report) = envelope.body {
            self.seen = report;
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill_bird();
        if let Some(Worker { channel, .. }) = self.worker.take() {
            drop(channel);
        }
    }
}

fn enter_namespaces() {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).unwrap();
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), none).unwrap();
}

/// Debian has BIRD where not every person's path leads.
fn path() -> String {
    format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default())
}

fn dropped_by_nobody(sender: &mpsc::SyncSender<()>) -> bool {
    !matches!(sender.try_send(()), Err(mpsc::TrySendError::Disconnected(())))
}

fn await_file(path: &Path) {
    let end = Instant::now() + Duration::from_secs(20);
    while !path.exists() {
        assert!(Instant::now() < end, "{} not within 20s", path.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}
