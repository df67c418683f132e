// SPDX-License-Identifier: Apache-2.0
//! Crashes of PID 1 on a stage, and its record from outside: where what lies in it is written here
//! once more, by hand.

use std::collections::BTreeMap;
use std::fs::File;
use std::hash::Hasher;
use std::os::unix::fs::FileExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use kubermesh_tests::stage::Running;
use rustix::fs::CWD;
use rustix::process::Signal;
use siphasher::sip::SipHasher24;

/// What takes milliseconds; a busy machine makes minutes of it.
pub(crate) const SOON: Duration = Duration::from_secs(180);

/// Random moments, the same again by `KUBERMESH_SEED`.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn thrown() -> Self {
        let given = std::env::var("KUBERMESH_SEED").ok().and_then(|seed| seed.parse().ok());
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
        let seed = given.unwrap_or(u64::from(clock));
        println!("KUBERMESH_SEED={seed}");
        Self(seed | 1 << 40)
    }

    /// xorshift64*, Marsaglia 2003.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % end
    }
}

/// Crashes PID 1 and waits until it says that it has recovered.
pub(crate) fn crash_by(stage: &Running, signal: Signal) -> Result<()> {
    let from = stage.kmsg().len();
    stage.signal(1, signal)?;
    stage.wait_line_from(from, "PID 1 recovered from", SOON)?;
    Ok(())
}

/// How often a service began, by its own hand and by PID 1's count.
#[derive(Debug)]
pub(crate) struct Starts {
    pub(crate) written: u64,
    pub(crate) counted: u64,
}

/// Of each service that writes its starts to a file of its own name. One that has just begun may not
/// have written: looked at until both are still.
pub(crate) fn starts_written(stage: &Running) -> Result<BTreeMap<String, Starts>> {
    let look = |stage: &Running| -> Result<BTreeMap<String, Starts>> {
        let mut all = BTreeMap::new();
        for (name, service) in stage.services()? {
            let file = stage.path(&format!("/run/{name}"));
            if file.exists() {
                let written = std::fs::read_to_string(file)?.lines().count() as u64;
                all.insert(name, Starts { written, counted: service.starts });
            }
        }
        Ok(all)
    };
    let mut last = look(stage)?;
    // A restless service goes on: once is enough for each.
    let mut agreed = BTreeMap::new();
    for _ in 0..200 {
        for (name, starts) in &last {
            if starts.written == starts.counted {
                agreed.insert(name.clone(), Starts { ..*starts });
            }
        }
        if agreed.len() == last.len() {
            return Ok(agreed);
        }
        std::thread::sleep(Duration::from_millis(20));
        last = look(stage)?;
    }
    Ok(last)
}

/// Field 22 of /proc/<pid>/stat: a new process with an old pid differs.
pub(crate) fn start_time(pid: u32) -> Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = stat.rsplit_once(')').context("no name in stat")?.1;
    Ok(fields.split_whitespace().nth(19).context("a short stat")?.parse()?)
}

/// PID 1's record, from outside.
pub(crate) struct Record(File);

/// Two slots of 64 MiB behind the first 64 MiB; odd sequences in the upper one.
const SLOTS: [u64; 2] = [64 << 20, 128 << 20];
/// Form, sequence, length, checksum of the node, answered, begun, tries; then the node.
const HEAD: u64 = 56;

impl Record {
    pub(crate) fn of(stage: &Running) -> Result<Self> {
        let path = format!("/proc/{}/fd/243", stage.pid());
        let name = std::fs::read_link(&path)?;
        ensure!(name.to_string_lossy().starts_with("/memfd:kubermesh-state"), "{name:?}");
        Ok(Self(File::options().read(true).write(true).open(path)?))
    }

    fn word(&self, at: u64) -> Result<u64> {
        let mut bytes = [0; 8];
        self.0.read_exact_at(&mut bytes, at)?;
        Ok(u64::from_ne_bytes(bytes))
    }

    /// The slot that was written last.
    pub(crate) fn newest(&self) -> Result<usize> {
        let [even, odd] = [self.word(SLOTS[0] + 8)?, self.word(SLOTS[1] + 8)?];
        Ok(usize::from(odd > even))
    }

    pub(crate) fn damage(&self, slot: usize) -> Result<()> {
        Ok(self.0.write_all_at(b"damaged", SLOTS[slot] + HEAD + 20)?)
    }

    pub(crate) fn put_form(&self, slot: usize, form: u64) -> Result<()> {
        Ok(self.0.write_all_at(&form.to_ne_bytes(), SLOTS[slot])?)
    }

    /// Another node, whole and with a checksum that fits.
    pub(crate) fn put_node(&self, slot: usize, json: &[u8]) -> Result<()> {
        let sequence = self.word(SLOTS[slot] + 8)?;
        let mut hasher = SipHasher24::new();
        hasher.write_u64(sequence);
        hasher.write_u64(0);
        hasher.write(json);
        for (at, word) in [(16, json.len() as u64), (24, hasher.finish())] {
            self.0.write_all_at(&word.to_ne_bytes(), SLOTS[slot] + at)?;
        }
        Ok(self.0.write_all_at(json, SLOTS[slot] + HEAD)?)
    }
}

/// Makes /run small and fills it: nothing more can be written there.
pub(crate) fn fill_run(stage: &Running) -> Result<()> {
    let run = stage.path("/run");
    let picked = rustix::mount::fspick(CWD, &run, rustix::mount::FsPickFlags::FSPICK_CLOEXEC)
        .context("pick /run")?;
    rustix::mount::fsconfig_set_string(&picked, "size", "256k").context("shrink /run")?;
    rustix::mount::fsconfig_reconfigure(&picked).context("shrink /run")?;
    let full = std::fs::write(run.join("full"), vec![1; 1 << 20]);
    ensure!(full.is_err(), "/run takes a megabyte");
    Ok(())
}
