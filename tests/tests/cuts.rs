// SPDX-License-Identifier: Apache-2.0
//! Every cut of a first boot, one boot each: hours. `make cuts` runs it, `make test` a sample
//! (`scenario_cut.rs`). At each flush the power goes twice: before it, with the last write torn, and after it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may stop where it stands"
)]

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use kubermesh_qemu::Cut;
use kubermesh_tests::FirstBoot;

#[test]
fn a_first_boot_that_was_cut_off_at_any_flush_is_done_by_the_next() -> Result<()> {
    let first = FirstBoot::record()?;
    let (from, step, lanes) = (number("FROM", 0)?, number("STEP", 1)?, number("LANES", 1)?);
    let both = |flush| [Cut::TornBeforeFlush { flush, sectors: 1 }, Cut::AfterFlush(flush)];
    let cuts: Vec<Cut> = (0..first.parts().len()).flat_map(both).collect();
    let tried: Vec<usize> = (from..cuts.len()).step_by(step).collect();
    println!("{} cuts; from {from}, each {step}th: {}", cuts.len(), tried.len());
    let (next, bad) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(at) = tried.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (cut, began) = (cuts[*at], Instant::now());
            let end = first.boots_after(cut);
            let words = end.as_ref().map_or_else(|error| format!("{error:#}"), |()| "boots".into());
            let part = first.parts()[at / 2];
            println!("{at}: {cut:?}, last written {part:?}: {words} ({:.0?})", began.elapsed());
            if end.is_err() {
                bad.lock().unwrap().push(cut);
            }
        }
    };
    std::thread::scope(|scope| (0..lanes).for_each(|_| drop(scope.spawn(work))));
    let bad = bad.into_inner().unwrap();
    ensure!(bad.is_empty(), "these do not boot: {bad:?}");
    Ok(())
}

fn number(name: &str, default: usize) -> Result<usize> {
    match std::env::var(name) {
        Ok(text) => {
            text.parse().with_context(|| format!("{name}={text}: a whole number is allowed"))
        }
        Err(_) => Ok(default),
    }
}
