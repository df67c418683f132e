// SPDX-License-Identifier: Apache-2.0
//! One init with so many services, from its exec to the end of the last service.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kubermesh_tests::stage::Running;
use rustix::process::Signal;
use serde_json::json;

use crate::figures::{Figures, What};
use crate::inits::Init;
use crate::tree::Tree;
use crate::{process, storm, strace};

/// What is to be tried.
pub(crate) struct Wish {
    pub(crate) services: usize,
    /// Few and short, to try the bench.
    pub(crate) smoke: bool,
}

/// Longest time for all services to come up, or to end.
const LONGEST: Duration = Duration::from_secs(180);

/// A service that ends younger than this is held back by some inits.
const SETTLED: Duration = Duration::from_millis(2500);

/// With so many services what depends on their number little is measured.
const FEW: usize = 10;

const ZOMBIES: usize = 20_000;
const CRASHES: u64 = 20;

/// An init at work.
struct Trial<'a> {
    init: &'a Init,
    stage: Running,
    services: usize,
}

/// Tries it, and keeps what was measured.
pub(crate) fn run(init: &Init, tree: &Tree, wish: &Wish, figures: &mut Figures) -> Result<()> {
    let services = wish.services;
    let mut take = |what, sample| figures.take(init.name, services, what, sample);
    let trial = Trial { init, stage: init.start(tree, services)?, services };
    if services > 0 {
        take(What::Start, trial.wait_up()?);
    }
    std::thread::sleep(if wish.smoke { SETTLED } else { init.rests_after });
    trial.memory(&mut take)?;
    let few = services == FEW || init.most == 1 || wish.smoke;
    if few {
        let lasts = if wish.smoke { Duration::from_secs(2) } else { init.idle_for };
        take(What::Wakeups, trial.wakeups(lasts)?);
    }
    if services > 0 && init.restarts {
        for _ in 0..if wish.smoke { 2 } else { 40.min(services) } {
            take(What::Restart, trial.restart()?);
        }
    }
    if services >= FEW && init.restarts {
        let pids = trial.supervisors()?;
        take(What::Calls, strace::count(tree, &pids, || trial.restart().map(drop))?);
    }
    if few {
        let zombies = if wish.smoke { 500 } else { ZOMBIES };
        // All have the same to do: nobody is asked. Then ours once more, and it is.
        let storms = [(false, false), (true, false), (false, true)];
        for (apart, asks) in storms.into_iter().take(2 + usize::from(init.is_ours())) {
            match storm::blow(&trial.stage, zombies, apart, asks) {
                Ok(storm) if asks => {
                    storm.answer.into_iter().for_each(|answer| take(What::Answer, answer))
                }
                Ok(storm) if apart => take(What::ZombiesApart, storm.gone),
                Ok(storm) => {
                    take(What::Zombies, storm.gone);
                    take(What::Lock, storm.lock);
                }
                Err(refusal) => eprintln!("    no storm: {refusal:#}"),
            }
        }
    }
    if services > 0 {
        take(What::Stop, trial.stop()?);
    }
    drop(trial);
    if init.is_ours() && few {
        for (what, sample) in recoveries(init, tree, services)? {
            take(what, sample);
        }
    }
    Ok(())
}

/// A stamp: who, its pid inside, milliseconds.
type Stamps = Vec<(String, u32, f64)>;

impl Trial<'_> {
    fn stamps(&self) -> Result<Stamps> {
        let text = self.stage.read("/stamps").unwrap_or_default();
        let one = |line: &str| {
            let mut words = line.split(' ');
            let (name, pid, at) = (words.next()?, words.next()?, words.next()?);
            Some((name.to_owned(), pid.parse().ok()?, at.parse::<f64>().ok()? / 1e6))
        };
        Ok(text.lines().filter_map(one).collect())
    }

    /// Until the last service was executed, in milliseconds.
    fn wait_up(&self) -> Result<f64> {
        let began = Instant::now();
        loop {
            let stamps = self.stamps()?;
            let zero = stamps.iter().find(|(name, _, _)| name == "zero").map(|stamp| stamp.2);
            let mut first: BTreeMap<&str, f64> = BTreeMap::new();
            for (name, _, at) in stamps.iter().filter(|(name, _, _)| name != "zero") {
                first.entry(name).or_insert(*at);
            }
            if first.len() >= self.services
                && let Some(zero) = zero
            {
                return Ok(first.values().fold(zero, |last, at| last.max(*at)) - zero);
            }
            let refusal = self.stage.read("/refusal").unwrap_or_default();
            ensure!(
                began.elapsed() < LONGEST
                    && refusal.is_empty()
                    && !process::is_gone(self.stage.pid()),
                "{} of {} services came up {refusal}{}",
                first.len(),
                self.services,
                self.stage.kmsg().join("; ")
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// All that runs inside and is no service.
    fn supervisors(&self) -> Result<Vec<u32>> {
        let all = self.stage.processes()?;
        let is_service = |pid: &u32| process::program(*pid).ends_with("/runner");
        Ok(all.into_iter().filter(|pid| !is_service(pid)).collect())
    }

    fn memory(&self, take: &mut impl FnMut(What, f64)) -> Result<()> {
        let first = process::memory(self.stage.pid())?;
        let supervisors = self.supervisors()?;
        let all: Vec<_> = supervisors.iter().filter_map(|pid| process::memory(*pid).ok()).collect();
        take(What::Private, first.private);
        take(What::Anonymous, first.anonymous);
        take(What::AllPrivate, all.iter().map(|memory| memory.private).sum());
        take(What::Processes, supervisors.len() as f64);
        Ok(())
    }

    /// In a second.
    fn wakeups(&self, lasts: Duration) -> Result<f64> {
        let supervisors = self.supervisors()?;
        let count = || supervisors.iter().map(|pid| process::switches(*pid)).sum::<f64>();
        let (before, began) = (count(), Instant::now());
        std::thread::sleep(lasts);
        Ok((count() - before) / began.elapsed().as_secs_f64())
    }

    /// Kills the service that has run longest; until its next run is executed, in milliseconds.
    fn restart(&self) -> Result<f64> {
        let stamps = self.stamps()?;
        let mut last: BTreeMap<&str, (u32, f64)> = BTreeMap::new();
        for (name, pid, at) in stamps.iter().filter(|(name, _, _)| name != "zero") {
            last.insert(name, (*pid, *at));
        }
        let oldest = last.iter().min_by(|one, other| one.1.1.total_cmp(&other.1.1));
        let (name, (pid, at)) = oldest.context("no service runs")?;
        let age = Duration::from_secs_f64((process::now() - at).max(0.0) / 1e3);
        std::thread::sleep(SETTLED.saturating_sub(age));
        let pid = self.here(*pid)?;
        let killed = process::now();
        process::kill(pid)?;
        loop {
            std::thread::sleep(Duration::from_millis(4));
            let stamps = self.stamps()?;
            let again = stamps.iter().find(|stamp| stamp.0 == *name && stamp.2 > killed);
            if let Some((_, _, at)) = again {
                // Not at once again: the next one shall find all at rest.
                std::thread::sleep(Duration::from_millis(13));
                return Ok(at - killed);
            }
            let waited = process::now() - killed;
            ensure!(waited < LONGEST.as_secs_f64() * 1e3, "{name} does not come again");
        }
    }

    fn here(&self, inside: u32) -> Result<u32> {
        let mut all = self.stage.processes()?.into_iter();
        let found = all.find(|pid| process::number_inside(*pid) == Some(inside));
        found.with_context(|| format!("process {inside} is gone"))
    }

    /// Until the last service is gone, in milliseconds.
    fn stop(&self) -> Result<f64> {
        let all = self.stage.processes()?;
        let mut services: Vec<u32> =
            all.into_iter().filter(|pid| process::program(*pid).ends_with("/runner")).collect();
        ensure!(services.len() >= self.services, "only {} services are there", services.len());
        let began = Instant::now();
        (self.init.stop)(&self.stage)?;
        while began.elapsed() < LONGEST {
            let is_there = |pid: &u32| !matches!(process::state(*pid), None | Some('Z' | 'X'));
            services.retain(is_there);
            if services.is_empty() {
                return Ok(began.elapsed().as_secs_f64() * 1e3);
            }
            std::thread::sleep(Duration::from_micros(500));
        }
        anyhow::bail!("{} services do not end", services.len())
    }
}

/// Crashes of PID 1, each until it has answered again, in milliseconds; its services live on.
fn recoveries(init: &Init, tree: &Tree, services: usize) -> Result<Vec<(What, f64)>> {
    let trial = Trial { init, stage: init.start(tree, services)?, services };
    trial.wait_up()?;
    std::thread::sleep(SETTLED);
    let stamps = trial.stamps()?.len();
    let mut samples = Vec::new();
    for crash in 1..=CRASHES {
        let mut crashed = Instant::now();
        let (what, mut asking) = match crash % 2 {
            0 => (What::Recovery, None),
            _ => (What::Panic, Some(trial.stage.client()?)),
        };
        let mut client = trial.stage.client_after(|| {
            crashed = Instant::now();
            match &mut asking {
                None => trial.stage.signal(1, Signal::SEGV),
                // Nobody answers: the connection ends.
                Some(client) => {
                    ensure!(client.call("Crash", &json!({"how": "panic"})).is_err(), "no panic");
                    Ok(())
                }
            }
        })?;
        let answer = client.call("Status", &json!({}))?;
        samples.push((what, crashed.elapsed().as_secs_f64() * 1e3));
        ensure!(answer.get("recoveries") == Some(&json!(crash)), "it did not recover: {answer}");
    }
    ensure!(trial.stamps()?.len() == stamps, "a service was started anew");
    Ok(samples)
}
