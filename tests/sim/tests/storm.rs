// SPDX-License-Identifier: Apache-2.0
//! A million steps of PID 1 in a simulated kernel, by seeds; one that breaks an invariant is told as a story.
//!
//! `SEEDS=7` runs that seed alone, `SEEDS=0..2000` that many; `STEPS` is for each seed.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "a test may stop where it stands"
)]

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use kubermesh_sim::trial::{self, Trial};

/// Seeds and steps of `make test`: a million together.
const SEEDS: Range<u64> = 0..40;
const STEPS: u64 = 25_000;

/// So many stories of one run are written down; the other seeds are only named.
const STORIES: usize = 5;

#[test]
fn whatever_happens_to_a_machine_every_invariant_holds() {
    let (seeds, steps) = (seeds(), number("STEPS").unwrap_or(STEPS));
    let began = Instant::now();
    let (sum, broken) = storm(seeds.clone(), steps);
    let rate = sum.steps / u64::try_from(began.elapsed().as_millis()).unwrap().max(1) * 1000;
    let (count, machines) = (seeds.end - seeds.start, sum.machines);
    let (crashes, granted) = (sum.crashes, sum.granted);
    let (over, back) = (sum.taken_over, sum.gone_back);
    println!(
        "{count} seeds, {machines} machines, {} steps, {} turns, {crashes} crashes survived, {granted} restarts granted, {over} programs took over, {back} gone back, {rate} steps a second",
        sum.steps, sum.turns
    );
    println!("what hit them: {}", sum.tally);
    let words = |(number, (seed, trial)): (usize, &(u64, Trial))| {
        let what = trial.broken.as_ref().map(ToString::to_string).unwrap_or_default();
        let story = (number < STORIES).then(|| tell(*seed, steps).display().to_string());
        format!(
            "seed {seed}: {what}\n  story: {}\n  again: make sim SEEDS={seed} STEPS={steps}",
            story.unwrap_or_default()
        )
    };
    let told: Vec<String> = broken.iter().enumerate().map(words).collect();
    assert!(told.is_empty(), "\n{}", told.join("\n"));
    let has_tried_all = crashes > 0 && granted > 0 && back > 0 && over > back;
    assert!(has_tried_all || count < SEEDS.end, "the storm is none: nothing of some kind happened");
    let missing = sum.tally.missing();
    assert!(missing.is_empty() || count < SEEDS.end, "the storm is none: never {missing:?}");
}

/// What a seed broke once it breaks again, or its story would be worth nothing.
#[test]
fn a_seed_tells_the_same_story_each_time() {
    for seed in SEEDS.take(2) {
        let story = || trial::run(seed, STEPS / 10, &services_of(seed), true).story;
        let (first, second) = (story(), story());
        assert!(first.lines().count() > 100, "no story of seed {seed}: {first}");
        let differs = first.lines().zip(second.lines()).find(|(one, other)| one != other);
        assert_eq!((differs, first.len()), (None, second.len()), "seed {seed} differs from itself");
    }
}

/// All seeds on all cores; the sum, and those that broke something.
fn storm(seeds: Range<u64>, steps: u64) -> (Trial, Vec<(u64, Trial)>) {
    let next = AtomicU64::new(seeds.start);
    let found = Mutex::new((Trial::default(), Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let trial = trial::run(seed, steps, &services_of(seed), false);
                    let mut found = found.lock().unwrap();
                    found.0.steps += trial.steps;
                    found.0.turns += trial.turns;
                    found.0.machines += trial.machines;
                    found.0.crashes += trial.crashes;
                    found.0.granted += trial.granted;
                    found.0.taken_over += trial.taken_over;
                    found.0.gone_back += trial.gone_back;
                    found.0.tally.add(&trial.tally);
                    if trial.broken.is_some() {
                        found.1.push((seed, trial));
                    }
                }
            });
        }
    });
    found.into_inner().unwrap()
}

/// The same seed once more, this time with its story.
fn tell(seed: u64, steps: u64) -> PathBuf {
    let trial = trial::run(seed, steps, &services_of(seed), true);
    let folder = root().join("out/stories");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(format!("{seed}.story"));
    let broken = trial.broken.map_or_else(String::new, |broken| broken.to_string());
    std::fs::write(&path, format!("seed {seed}: {broken}\n{}", trial.story)).unwrap();
    path
}

/// Every other seed has the services of the image, the others a few of every kind.
fn services_of(seed: u64) -> Vec<(String, String)> {
    let is_image = seed.is_multiple_of(2);
    let folder = if is_image { "overlay/usr/lib/kubermesh/services" } else { "tests/sim/services" };
    let entries = std::fs::read_dir(root().join(folder)).unwrap();
    let mut all: Vec<(String, String)> = entries
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    all.sort();
    all
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("SEEDS") else { return SEEDS };
    let (from, to) = text.split_once("..").unwrap_or((&text, ""));
    let from: u64 =
        from.parse().unwrap_or_else(|_| panic!("SEEDS={text} is no number and no range"));
    from..to.parse().unwrap_or(from + 1)
}
