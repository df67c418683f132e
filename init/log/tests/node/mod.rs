// SPDX-License-Identifier: Apache-2.0
//! A node's folder with a real log worker in it, in a mount namespace of its own.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part of it")]

use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kubermesh_log::{Entry, Query, client};
use kubermesh_node::channel::{Envelope, LogReport, Report};
use kubermesh_sys::seqpacket;
use tempfile::TempDir;

/// A file system of its own on a loop device, as STATE is on a stick.
pub const STATE: &str = "truncate -s 4M \"$1/stick\" && mkfs.ext4 -q -O ^has_journal -m 0 \"$1/stick\" \
     && mount -o loop \"$1/stick\" \"$1/state\"";

pub struct Node {
    pub root: TempDir,
    worker: Option<Child>,
    channel: Option<OwnedFd>,
    pub report: Option<LogReport>,
}

/// A service's pipe: PID 1 keeps both ends.
pub struct Pipe {
    pub service: &'static str,
    reader: OwnedFd,
    pub writer: std::fs::File,
}

impl Pipe {
    pub fn of(service: &'static str) -> Self {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        Self { service, reader, writer: writer.into() }
    }

    pub fn say(&mut self, words: &str) {
        self.writer.write_all(words.as_bytes()).unwrap();
    }
}

impl Node {
    /// A worker, `setup` of a shell having been done in its namespace (`$1` is the folder).
    pub fn start(setup: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["dev", "proc/self", "proc/sys/kernel/random", "run/kubermesh", "state"] {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        std::os::unix::fs::symlink("/proc/self/mounts", root.path().join("proc/self/mounts"))
            .unwrap();
        std::os::unix::fs::symlink("/dev/kmsg", root.path().join("dev/kmsg")).unwrap();
        let mut node = Self { root, worker: None, channel: None, report: None };
        node.set_boot('a');
        node.start_worker(setup);
        node
    }

    pub fn set_boot(&self, digit: char) {
        let id = digit.to_string().repeat(32);
        std::fs::write(self.root.path().join("proc/sys/kernel/random/boot_id"), id).unwrap();
    }

    pub fn start_worker(&mut self, setup: &str) {
        let (ours, theirs) = seqpacket::pair().unwrap();
        let script = format!("set -e; {setup}\nexec \"$0\" \"$1\"");
        let child = Command::new("unshare")
            .args(["--mount", "sh", "-c", &script])
            .arg(example("worker_under"))
            .arg(self.root.path())
            .env("KUBERMESH_CHANNEL", "0")
            .stdin(Stdio::from(theirs))
            .spawn()
            .unwrap();
        (self.worker, self.channel) = (Some(child), Some(ours));
        let socket = self.root.path().join("run/kubermesh/log/socket");
        soon("the worker listens", || std::os::unix::net::UnixStream::connect(&socket).is_ok());
    }

    pub fn pid(&self) -> String {
        self.worker.as_ref().unwrap().id().to_string()
    }

    pub fn attach(&self, pipe: &Pipe) {
        let order =
            format!(r#"{{"version":1,"body":{{"output":{{"service":"{}"}}}}}}"#, pipe.service);
        let channel = self.channel.as_ref().unwrap();
        seqpacket::send(channel, order.as_bytes(), Some(pipe.reader.as_fd())).unwrap();
    }

    /// Storage has reported: PID 1's word for it.
    pub fn say_stored(&self) {
        let channel = self.channel.as_ref().unwrap();
        seqpacket::send(channel, br#"{"version":1,"body":"stored"}"#, None).unwrap();
    }

    pub fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args(["-s", signal, &self.pid()]).status().unwrap().success());
    }

    pub fn kill(&mut self, signal: &str) {
        self.signal(signal);
        self.worker.take().unwrap().wait().unwrap();
        let _ = std::fs::remove_file(self.root.path().join("run/kubermesh/log/socket"));
    }

    /// Runs a command in the worker's mount namespace.
    pub fn inside(&self, script: &str) {
        let pid = self.pid();
        let mut command = Command::new("nsenter");
        command.args(["--target", &pid, "--mount", "sh", "-ec", script, "sh"]);
        assert!(command.arg(self.root.path()).status().unwrap().success(), "{script}");
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.root.path().join(below)
    }

    pub fn read(&self, query: &Query) -> Vec<Entry> {
        let entries = client::read_at(&self.path("run/kubermesh/log/socket"), query).unwrap();
        entries.collect::<Result<_, _>>().unwrap()
    }

    /// All messages of a service, over all boots.
    pub fn said_by(&self, service: &str) -> Vec<String> {
        let query = Query {
            service: Some(service.to_owned()),
            boot: Some("all".to_owned()),
            ..Query::default()
        };
        self.read(&query).into_iter().map(|entry| entry.message).collect()
    }

    /// Waits until a segment holds this message: what the loop has read, and tells a reader, is on its
    /// way to the file for some milliseconds.
    pub fn await_kept(&self, message: &str) {
        let wanted = format!("\"message\":\"{message}\"");
        // STATE is mounted in the worker's namespace alone.
        let root = PathBuf::from(format!("/proc/{}/root", self.pid()));
        let folders = ["run/kubermesh/log", "state/log"]
            .map(|folder| root.join(self.path(folder).strip_prefix("/").unwrap()));
        let holds =
            |file: &Path| std::fs::read_to_string(file).is_ok_and(|text| text.contains(&wanted));
        soon(&format!("{message} is in a file"), || {
            let files =
                folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten();
            let mut files = files.map(|file| file.unwrap().path());
            files.any(|file| file.extension().is_some_and(|end| end == "log") && holds(&file))
        });
    }

    /// The latest report that the worker has made.
    pub fn latest(&mut self) -> LogReport {
        let channel = self.channel.as_ref().unwrap();
        while let Ok(Some(message)) = seqpacket::receive(channel, 65_536) {
            let envelope: Envelope<Report> = serde_json::from_slice(&message.bytes).unwrap();
            let Report::Log(report) = envelope.body else { panic!("{envelope:?}") };
            self.report = Some(report);
        }
        self.report.clone().unwrap_or_default()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut worker) = self.worker.take() {
            let _ = worker.kill();
            let _ = worker.wait();
        }
    }
}

pub fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().join("examples").join(name)
}

/// Waits until `holds`, at most 30 s.
pub fn soon(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < end, "waited 30 s in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
