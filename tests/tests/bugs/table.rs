// SPDX-License-Identifier: Apache-2.0
//! docs/bugs.md and docs/mutants.md against what there is: each row has a test, and each patch still applies.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

struct Row {
    number: u32,
    /// `file::test`.
    test: String,
    /// A file of tests/mutants.
    patch: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn rows() -> Result<Vec<Row>> {
    rows_of("docs/bugs.md", |cell, line| {
        cell.parse().with_context(|| format!("no number in `{line}`"))
    })
}

/// Those that are no bug of others.
fn further_rows() -> Result<Vec<Row>> {
    rows_of("docs/mutants.md", |_, _| Ok(0))
}

fn rows_of(page: &str, number: impl Fn(&str, &str) -> Result<u32>) -> Result<Vec<Row>> {
    let page = std::fs::read_to_string(root().join(page))?;
    let rows = page.lines().filter(|line| line.starts_with("| ")).skip(1);
    rows.map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let cell =
            |at: usize| cells.get(at).copied().unwrap_or_default().trim_matches('`').to_owned();
        Ok(Row { number: number(&cell(0), line)?, test: cell(2), patch: cell(3) })
    })
    .collect()
}

#[test]
fn every_bug_has_a_test_that_is_there() -> Result<()> {
    let rows = rows()?;
    let numbers: BTreeSet<u32> = rows.iter().map(|row| row.number).collect();
    assert_eq!(numbers, (1..=28).collect());
    for row in rows.into_iter().chain(further_rows()?) {
        let (file, test) = row.test.split_once("::").context("a test is file::name")?;
        let text = std::fs::read_to_string(root().join(file)).with_context(|| file.to_owned())?;
        ensure!(text.contains(&format!("fn {test}(")), "{file} has no test {test}");
    }
    Ok(())
}

#[test]
fn every_patch_applies_and_is_named() -> Result<()> {
    let rows = rows()?;
    // A second test of a bug has none of its own; each bug has one.
    let with = || rows.iter().filter(|row| row.patch != "–");
    assert_eq!(with().map(|row| row.number).collect::<BTreeSet<_>>(), (1..=28).collect());
    let further = further_rows()?;
    let mut named: BTreeSet<String> = with().chain(&further).map(|row| row.patch.clone()).collect();
    let folder = root().join("tests/mutants");
    for entry in std::fs::read_dir(&folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !name.ends_with(".patch") {
            continue;
        }
        ensure!(named.remove(&name), "no page names {name}");
        let checked = Command::new("git")
            .args(["apply", "--check", "--recount"])
            .arg(folder.join(&name))
            .current_dir(root())
            .output()?;
        let errors = String::from_utf8_lossy(&checked.stderr);
        ensure!(checked.status.success(), "{name} does not apply any more: {errors}");
    }
    ensure!(named.is_empty(), "a page names patches that are not there: {named:?}");
    Ok(())
}
