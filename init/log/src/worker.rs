// SPDX-License-Identifier: Apache-2.0
//! The worker's loop: takes what comes, keeps it, answers.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};

use kubermesh_node::channel::{LogReport, Order, Report, Wrong};
use kubermesh_worker::{Channel, ChannelError, Health, HealthError};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::entry::Entry;
use crate::kernel::{self, Kernel};
use crate::lines::Lines;
use crate::serve::Readers;
use crate::store::{SEGMENTS_IN_MEMORY, SEGMENTS_ON_DISK, Store};
use crate::{SOCKET, journal};

/// Why the worker ends.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The channel to PID 1.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The health socket.
    #[error(transparent)]
    Health(#[from] HealthError),
    /// A socket or folder of its own.
    #[error("{attempt} {path}")]
    Path {
        /// `listen at`, `open`.
        attempt: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The wait for all of them.
    #[error("wait for what comes")]
    Wait(#[source] rustix::io::Errno),
}

/// Where everything is; a test has its own.
pub(crate) struct Place {
    pub(crate) kernel: PathBuf,
    pub(crate) journal: PathBuf,
    pub(crate) readers: PathBuf,
    pub(crate) memory: PathBuf,
    pub(crate) disk: PathBuf,
    pub(crate) mounts: PathBuf,
}

impl Default for Place {
    fn default() -> Self {
        Self {
            kernel: "/dev/kmsg".into(),
            journal: "/run/systemd/journal/socket".into(),
            readers: SOCKET.into(),
            memory: "/run/kubermesh/log.d".into(),
            disk: "/state/log".into(),
            mounts: "/proc/self/mounts".into(),
        }
    }
}

/// `kubermesh log`.
///
/// # Errors
/// What it cannot do without. A closed channel is the end of its work, not an error.
pub fn run() -> Result<(), LogError> {
    let channel = Channel::inherit()?;
    kubermesh_worker::start_log_on_stderr();
    let health = Health::listen("log")?;
    let mut worker = Worker::new(Place::default())?;
    kubermesh_worker::say_ready();
    loop {
        match worker.turn(&channel, &health) {
            Err(LogError::Channel(ChannelError::Closed)) => return Ok(()),
            done => done?,
        }
    }
}

/// The longest wait while STATE is not there yet, or something could not be kept.
const TRY_AGAIN: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };

/// Taken from one source in one turn, so that a noisy one does not keep the others waiting.
const AT_ONCE: usize = 64;

/// The longest datagram taken; a longer one is counted as dropped.
const DATAGRAM: usize = 256 * 1024;

pub(crate) struct Worker {
    place: Place,
    boot: String,
    store: Store,
    kernel: Option<Kernel>,
    journal: UnixDatagram,
    readers: Readers,
    outputs: BTreeMap<String, (OwnedFd, Lines)>,
    entries: u64,
    lost: u64,
    told: LogReport,
    kernel_seen: Option<u64>,
}

impl Worker {
    pub(crate) fn new(place: Place) -> Result<Self, LogError> {
        let path = |attempt, path: &Path| {
            let path = path.to_owned();
            move |source| LogError::Path { attempt, path, source }
        };
        let journal = rebind(&place.journal, |at| UnixDatagram::bind(at))
            .map_err(path("listen at", &place.journal))?;
        let listener = rebind(&place.readers, |at| UnixListener::bind(at))
            .map_err(path("listen at", &place.readers))?;
        for done in [journal.set_nonblocking(true), listener.set_nonblocking(true)] {
            done.map_err(path("listen at", &place.readers))?;
        }
        let store =
            Store::open(&place.memory, SEGMENTS_IN_MEMORY).map_err(path("open", &place.memory))?;
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .unwrap_or_default()
            .trim()
            .to_owned();
        let kernel_seen = std::fs::read_to_string(place.memory.join("kernel"))
            .ok()
            .and_then(|text| text.trim().parse().ok());
        // Without a ring, as in a container, everything else is still kept.
        let kernel = place.kernel.to_str().and_then(|at| Kernel::open(at, kernel_seen).ok());
        let readers = Readers::over(listener);
        let (outputs, told) = (BTreeMap::new(), LogReport::default());
        let mut worker = Self {
            place,
            boot,
            store,
            kernel,
            journal,
            readers,
            outputs,
            entries: 0,
            lost: 0,
            told,
            kernel_seen,
        };
        worker.move_to_disk();
        Ok(worker)
    }

    /// Waits until something comes, and takes it.
    pub(crate) fn turn(&mut self, channel: &Channel, health: &Health) -> Result<(), LogError> {
        self.wait(channel, health)?;
        health.answer();
        while let Some((order, descriptor)) = channel.receive()? {
            if let (Order::Output { service }, Some(descriptor)) = (order, descriptor) {
                self.outputs.insert(service.to_string(), (descriptor, Lines::default()));
            }
        }
        self.take_kernel();
        self.take_journal();
        self.take_outputs();
        self.move_to_disk();
        self.readers.serve(&self.store);
        self.report(channel);
        Ok(())
    }

    fn wait(&self, channel: &Channel, health: &Health) -> Result<(), LogError> {
        let mut all = vec![
            PollFd::new(channel, PollFlags::IN),
            PollFd::new(health, PollFlags::IN),
            PollFd::new(&self.journal, PollFlags::IN),
        ];
        all.extend(self.kernel.iter().map(|kernel| PollFd::new(kernel, PollFlags::IN)));
        all.extend(self.outputs.values().map(|(reader, _)| PollFd::new(reader, PollFlags::IN)));
        all.extend(self.readers.waits());
        let waits_for_disk = self.store.folder() != self.place.disk || self.store.refusal.is_some();
        match poll(&mut all, waits_for_disk.then_some(&TRY_AGAIN)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(refusal) => Err(LogError::Wait(refusal)),
        }
    }

    fn keep(&mut self, mut entry: Entry) {
        entry.boot.clone_from(&self.boot);
        self.store.keep(&entry);
        self.entries = self.entries.saturating_add(1);
        self.readers.tell(&entry);
    }

    fn take_kernel(&mut self) {
        let before = self.kernel_seen;
        for _ in 0..AT_ONCE {
            let Some(kernel) = &self.kernel else { return };
            match kernel.read() {
                kernel::Read::Entry(entry, sequence) => {
                    self.kernel_seen = Some(sequence);
                    self.keep(entry);
                }
                kernel::Read::Known => {}
                kernel::Read::Lost => self.lost = self.lost.saturating_add(1),
                kernel::Read::Nothing => break,
            }
        }
        if let Some(seen) = self.kernel_seen.filter(|_| self.kernel_seen != before) {
            // In memory: the ring's numbers begin anew with each boot. Without it a restart of this
            // worker keeps the ring a second time, which is no loss.
            let _ = std::fs::write(self.place.memory.join("kernel"), seen.to_string());
        }
    }

    fn take_journal(&mut self) {
        let mut bytes = vec![0; DATAGRAM];
        for _ in 0..AT_ONCE {
            let Ok(length) = self.journal.recv(&mut bytes) else { return };
            match journal::decode(bytes.get(..length).unwrap_or_default()) {
                Some(said) => {
                    let name = said.name.as_deref().unwrap_or("journal");
                    self.keep(Entry::now(name, said.priority, &said.message));
                }
                // A memfd instead of bytes, or no message: counted, since somebody meant something.
                None => self.lost = self.lost.saturating_add(1),
            }
        }
    }

    fn take_outputs(&mut self) {
        let mut taken: Vec<(String, Vec<u8>)> = Vec::new();
        for (name, (reader, lines)) in &mut self.outputs {
            let mut bytes = [0; 8192];
            // One read a turn: poll tells of the rest, and the others come in between.
            if let Ok(length) = rustix::io::read(&*reader, &mut bytes) {
                let ended = lines.take(bytes.get(..length).unwrap_or_default());
                taken.extend(ended.into_iter().map(|line| (name.clone(), line)));
            }
        }
        for (name, line) in taken {
            self.keep(Entry::now(&name, 6, &line));
        }
    }

    /// Once STATE is mounted the store lies there, and what was kept in memory goes along.
    fn move_to_disk(&mut self) {
        if self.store.folder() == self.place.disk || !self.is_mounted() {
            return;
        }
        match Store::open(&self.place.disk, SEGMENTS_ON_DISK) {
            Ok(mut disk) => {
                for entry in self.store.read(usize::MAX, |entry| entry.boot == self.boot) {
                    disk.keep(&entry);
                }
                disk.dropped = disk.dropped.saturating_add(self.store.dropped);
                self.store = disk;
                // Emptied, or the next run of this worker would bring the same entries again.
                for file in std::fs::read_dir(&self.place.memory).into_iter().flatten().flatten() {
                    if file.file_name() != "kernel" {
                        let _ = std::fs::remove_file(file.path());
                    }
                }
            }
            Err(refusal) => self.store.refusal = Some(refusal.to_string()),
        }
    }

    fn is_mounted(&self) -> bool {
        let mounts = std::fs::read_to_string(&self.place.mounts).unwrap_or_default();
        let state = self.place.disk.parent().and_then(Path::to_str).unwrap_or_default();
        mounts.lines().any(|line| {
            let mut words = line.split(' ');
            let point = words.nth(1);
            // Without STATE a tmpfs lies there, which outlives nothing.
            point == Some(state) && words.next().is_some_and(|kind| kind != "tmpfs")
        })
    }

    fn report(&mut self, channel: &Channel) {
        let wrong = |sentence: &String| Wrong {
            subject: "log store".to_owned(),
            sentence: sentence.clone(),
        };
        let dropped = self.store.dropped.saturating_add(self.lost);
        let faults: Vec<Wrong> = self.store.refusal.iter().map(wrong).collect();
        if self.told.faults == faults && self.told.dropped == dropped && self.told.entries > 0 {
            return;
        }
        let report = LogReport { entries: self.entries.max(1), dropped, faults };
        // A full channel: the next turn says it again.
        if channel.send(&Report::Log(report.clone())).is_ok() {
            self.told = report;
        }
    }
}

fn rebind<T>(path: &Path, bind: impl Fn(&Path) -> std::io::Result<T>) -> std::io::Result<T> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    match std::fs::remove_file(path) {
        Err(refusal) if refusal.kind() != std::io::ErrorKind::NotFound => Err(refusal),
        Err(_) | Ok(()) => bind(path),
    }
}
