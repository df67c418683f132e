// SPDX-License-Identifier: Apache-2.0
//! A first boot whose power is cut while it makes its partitions: the stick boots and the making goes on.
//! A few cuts, one for each thing that can be half done; `make cuts` makes all of them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may stop where it stands"
)]

use anyhow::{Context, Result, bail};
use kubermesh_qemu::Cut;
use kubermesh_tests::{FirstBoot, Part};

#[test]
fn a_first_boot_that_was_cut_off_is_done_by_the_next() -> Result<()> {
    let first = FirstBoot::record()?;
    let parts = first.parts();
    let all = |part| (0..parts.len()).filter(move |flush| parts[*flush] == Some(part));
    let tables: Vec<usize> = all(Part::Table).collect();
    println!("{} flushes, of the table: {tables:?}", parts.len());
    // Mended, both partitions added, STATE marked as made, DATA marked: a backup and a primary each.
    let [_, _, _, added, _, _, .., marked] = tables[..] else { bail!("{tables:?}") };
    let made = all(Part::Data).find(|flush| *flush < marked).context("no write makes DATA")?;
    let used = all(Part::Data).find(|flush| *flush > marked).context("no write uses DATA")?;
    // The primary table that names both partitions is half there: only its backup is whole.
    first.boots_after(Cut::TornBeforeFlush { flush: added, sectors: 1 })?;
    // DATA is half made and not marked; STATE is in use.
    first.boots_after(Cut::TornBeforeFlush { flush: made, sectors: 1 })?;
    // STATE is mounted for the first time.
    let mut torn = Vec::new();
    for flush in 0..parts.len() {
        torn.extend(first.tears_superblock(flush)?.then_some(flush));
    }
    let flush = *torn.first().context("no mount writes the superblock alone")?;
    first.boots_after(Cut::TornBeforeFlush { flush, sectors: 1 })?;
    // The first thing that is written to DATA in use.
    first.runs_after(Cut::TornBeforeFlush { flush: used, sectors: 1 })?;
    Ok(())
}
