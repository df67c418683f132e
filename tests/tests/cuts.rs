// SPDX-License-Identifier: Apache-2.0
//! Every cut of a first boot, one boot each: hours. `make cuts` runs it, `make test` a sample
//! (`scenario_cut.rs`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may stop where it stands"
)]

use anyhow::{Context, Result, ensure};
use kubermesh_qemu::Cut;
use kubermesh_tests::FirstBoot;

#[test]
fn a_first_boot_that_was_cut_off_at_any_flush_is_done_by_the_next() -> Result<()> {
    let first = FirstBoot::record()?;
    let (from, step) = (number("FROM", 0)?, number("STEP", 1)?);
    let count = first.parts().len();
    println!("{count} flushes; from {from}, each {step}th");
    let mut bad = Vec::new();
    for flush in (from..count).step_by(step) {
        for cut in [Cut::TornBeforeFlush { flush, sectors: 1 }, Cut::AfterFlush(flush)] {
            let end = first.boots_after(cut);
            let words = end.as_ref().map_or_else(|error| format!("{error:#}"), |()| "boots".into());
            println!("{cut:?}, last written {:?}: {words}", first.parts()[flush]);
            if end.is_err() {
                bad.push(cut);
            }
        }
    }
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
