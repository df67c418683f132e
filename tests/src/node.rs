// SPDX-License-Identifier: Apache-2.0
//! A node on the desk, with what a scenario wants to know of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use kubermesh_qemu::{Machine, Stick};
use serde_json::Value;

/// A machine that runs Kubermesh.
pub struct Node {
    /// The machine itself: cables, power, light.
    pub machine: Machine,
}

/// A service as the node tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// `running`, `resting` …
    pub state: String,
    /// Its main process; 0 where there is none.
    pub pid: u64,
    /// The kernel's start time of that process, in clock ticks: a new process with an old pid differs.
    pub start_time: u64,
    /// Runs so far.
    pub starts: u64,
}

/// A boot under emulation takes 20 to 60 s; four at once on a busy machine much longer. Only a test that fails waits so long.
#[must_use]
pub fn soon() -> Duration {
    Duration::from_secs(400)
}

/// A file that `make test` builds before the scenarios; a scenario without it fails.
///
/// # Errors
/// It is not there.
pub fn image(name: &str) -> Result<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../out/test").join(name);
    ensure!(path.exists(), "{} is not there: `make test` builds it", path.display());
    Ok(path)
}

/// The test image's stick with room for STATE and DATA.
///
/// # Errors
/// It is not there.
pub fn test_stick() -> Result<Stick> {
    Ok(Stick::from_image(image("kubermesh-usb.img")?).size_mib(4096))
}

impl Node {
    /// Waits for this status on the serial port; the sentence that came with it.
    ///
    /// # Errors
    /// It does not come in time.
    pub fn wait_status(&self, word: &str) -> Result<String> {
        self.wait_sentence(word, "")
    }

    /// Waits on the serial port until this node, alone on the desk, runs its pod; then its agent answers too.
    ///
    /// # Errors
    /// It does not come in time.
    pub fn wait_pod(&self) -> Result<String> {
        let sentence = self.wait_sentence("isolated", "1 of 1 pods run")?;
        self.machine.agent().wait(soon())?;
        Ok(sentence)
    }

    /// Waits for this status with these words in its sentence.
    fn wait_sentence(&self, word: &str, words: &str) -> Result<String> {
        let (began, text) = (Instant::now(), format!("kubermesh: status={word} "));
        let sentence = |line: &str| line.split_once(&text).map(|(_, sentence)| sentence.to_owned());
        let wanted = |line: &str| sentence(line).is_some_and(|told| told.contains(words));
        let line = self.machine.serial().wait_for(&format!("{text}{words}"), soon(), wanted)?;
        self.tell(began, &format!("{text}{words}"));
        Ok(sentence(&line.text).unwrap_or_default())
    }

    fn tell(&self, began: Instant, what: &str) {
        println!("{:6.1} s until {}: {what}", began.elapsed().as_secs_f64(), self.machine.name());
    }

    /// Runs a command on the node; what it printed. A status other than 0 is an error.
    ///
    /// # Errors
    /// It failed, or the agent does not answer.
    pub fn run(&self, argv: &[&str]) -> Result<String> {
        self.machine.agent().must(argv)
    }

    /// The answer of `kubermesh <words> --json`.
    ///
    /// # Errors
    /// The node does not answer, or in no JSON.
    pub fn ask(&self, words: &[&str]) -> Result<Value> {
        let argv: Vec<&str> = ["/usr/bin/kubermesh"]
            .into_iter()
            .chain(words.iter().copied())
            .chain(["--json"])
            .collect();
        let text = self.run(&argv)?;
        serde_json::from_str(&text).with_context(|| format!("{argv:?} answered {text}"))
    }

    /// The status word: `ready`, `isolated` …
    ///
    /// # Errors
    /// As [`Node::ask`].
    pub fn word(&self) -> Result<String> {
        Ok(self.ask(&["status"])?["word"].as_str().unwrap_or_default().to_owned())
    }

    /// What is wrong, as `subject: sentence`.
    ///
    /// # Errors
    /// As [`Node::ask`].
    pub fn faults(&self) -> Result<Vec<String>> {
        let status = self.ask(&["status"])?;
        let list = status["status"]["faults"].as_array().context("no list of faults")?;
        let words = |key: &Value| key.as_str().unwrap_or_default().to_owned();
        let one =
            |fault: &Value| format!("{}: {}", words(&fault["subject"]), words(&fault["sentence"]));
        Ok(list.iter().map(one).collect())
    }

    /// Each service, by name.
    ///
    /// # Errors
    /// As [`Node::ask`].
    pub fn services(&self) -> Result<BTreeMap<String, Service>> {
        let answer = self.ask(&["services"])?;
        let list = answer["services"].as_array().context("no list of services")?;
        let mut all = BTreeMap::new();
        for one in list {
            let pid = one["pid"].as_u64().unwrap_or(0);
            let service = Service {
                state: one["state"].as_str().unwrap_or_default().to_owned(),
                pid,
                start_time: if pid == 0 { 0 } else { self.start_time(pid).unwrap_or(0) },
                starts: one["starts"].as_u64().unwrap_or(0),
            };
            all.insert(one["name"].as_str().unwrap_or_default().to_owned(), service);
        }
        Ok(all)
    }

    /// One service.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn service(&self, name: &str) -> Result<Service> {
        self.services()?.remove(name).with_context(|| format!("there is no service {name}"))
    }

    /// Waits until this holds of the node, asking again and again; `what` is for the message.
    ///
    /// # Errors
    /// It does not hold in time.
    pub fn wait_until(&self, what: &str, holds: impl Fn(&Self) -> Result<bool>) -> Result<()> {
        let began = Instant::now();
        let mut pause = Duration::from_millis(250);
        loop {
            let last = holds(self);
            if matches!(last, Ok(true)) {
                self.tell(began, what);
                return Ok(());
            }
            if began.elapsed() > soon() {
                bail!(
                    "waited {:?} for {what}; last: {last:?}\n{}",
                    soon(),
                    self.machine.serial().tail()
                );
            }
            // The node has no event for this; the machine under test is emulated, so a question costs it time
            // that it has not for what is awaited.
            std::thread::sleep(pause);
            pause = (pause * 3 / 2).min(Duration::from_secs(2));
        }
    }

    /// The kernel's start time of a process, field 22 of `/proc/<pid>/stat`.
    ///
    /// # Errors
    /// There is no such process.
    pub fn start_time(&self, pid: u64) -> Result<u64> {
        let stat = self.machine.agent().read_text(&format!("/proc/{pid}/stat"))?;
        let fields = stat.rsplit_once(')').context("no name in stat")?.1;
        let text = fields.split_whitespace().nth(19).context("a short stat")?;
        Ok(text.parse()?)
    }

    /// The process that the node's own pod is.
    ///
    /// # Errors
    /// It does not run.
    pub fn beacon_pid(&self) -> Result<u64> {
        // Two run from the same program: `/beacon`, and the sandbox's `/beacon pause`.
        let pids = self.run(&["/usr/bin/busybox", "pidof", "beacon"])?;
        for pid in pids.split_whitespace() {
            let words = self.machine.agent().read_text(&format!("/proc/{pid}/cmdline"))?;
            if words.trim_end_matches('\0') == "/beacon" {
                return Ok(pid.parse()?);
            }
        }
        bail!("no beacon runs: {pids}")
    }

    /// The pod's addresses, IPv6 first, as the node's own network plugin keeps them.
    ///
    /// # Errors
    /// There is not one of each family.
    pub fn pod_addresses(&self) -> Result<Vec<String>> {
        let folder = "/run/cni/addresses/kubermesh";
        let names = self.run(&["/usr/bin/busybox", "ls", folder])?;
        let mut all: Vec<String> = names
            .lines()
            .filter(|name| name.contains(':') || name.starts_with("10."))
            .map(str::to_owned)
            .collect();
        all.sort_by_key(|name| !name.contains(':'));
        ensure!(all.len() == 2, "the pod has one address of each family: {names}");
        Ok(all)
    }

    /// Asks the pod at each of its addresses how it is.
    ///
    /// # Errors
    /// It does not answer.
    pub fn pod_answers(&self) -> Result<()> {
        for address in self.pod_addresses()? {
            let host = if address.contains(':') { format!("[{address}]") } else { address };
            let url = format!("http://{host}:8080/healthz");
            let answer = self.run(&["/usr/bin/busybox", "wget", "-q", "-O", "-", &url])?;
            println!("{url}: {answer}");
        }
        Ok(())
    }

    /// The kernel's ring: each line of PID 1, also where nobody is left who could carry it.
    ///
    /// # Errors
    /// The agent does not answer.
    pub fn kernel_ring(&self) -> Result<String> {
        self.run(&["/usr/bin/busybox", "dmesg"])
    }

    /// Sends a signal to a process.
    ///
    /// # Errors
    /// There is no such process.
    pub fn signal(&self, name: &str, pid: u64) -> Result<()> {
        self.run(&["/usr/bin/busybox", "kill", &format!("-{name}"), &pid.to_string()]).map(drop)
    }
}
