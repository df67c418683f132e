// SPDX-License-Identifier: Apache-2.0
//! What Cargo says of the packages that we link: their licences, where they come from, how many PID 1 has.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;
use toml::Table;

use crate::source::root;

/// A crate in PID 1 is one that can kill the machine; ours and those that only run at build time do not count.
const CRATES_IN_PID_1: usize = 25;

const FUZZ: &str = "tests/fuzz/Cargo.toml";

/// What brings the second lock file to the first one's versions.
const REFRESH: &str = "cp Cargo.lock tests/fuzz/ && cargo metadata --format-version=1 --manifest-path tests/fuzz/Cargo.toml >/dev/null";

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).current_dir(root()).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}(a lock file that lags behind: {REFRESH})");
    String::from_utf8(output.stdout).unwrap()
}

/// What Cargo says of each package that a node or the desk links.
fn packages() -> Vec<Value> {
    packages_of("Cargo.toml")
}

fn packages_of(manifest: &str) -> Vec<Value> {
    let target = "--filter-platform=x86_64-unknown-linux-musl";
    let of = ["--manifest-path", manifest];
    let said = cargo(&[&["metadata", "--locked", "--format-version=1", target], &of[..]].concat());
    let said: Value = serde_json::from_str(&said).unwrap();
    let packages = said["packages"].as_array().unwrap().clone();
    assert!(packages.len() > 50, "only {} packages were found", packages.len());
    packages
}

/// deny.toml, the one list of licences and of packages that we bear twice.
fn deny() -> Table {
    std::fs::read_to_string(root().join("deny.toml")).unwrap().parse().unwrap()
}

fn allowed(package: &str) -> BTreeSet<String> {
    let deny = deny();
    let exceptions = deny["licenses"]["exceptions"].as_array().unwrap();
    let own = exceptions.iter().filter(|row| row["crate"].as_str() == Some(package));
    let lists = own.map(|row| &row["allow"]).chain([&deny["licenses"]["allow"]]);
    let names = lists.flat_map(|list| list.as_array().unwrap());
    names.map(|name| name.as_str().unwrap().to_owned()).collect()
}

/// Whether an SPDX expression can be kept: of `A OR B` one is enough, of `A AND B` both are needed.
fn may_be_kept(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let plain = expression.replace('/', " OR ").replace(['(', ')'], "");
    plain.split(" AND ").all(|part| part.split(" OR ").any(|name| allowed.contains(name.trim())))
}

#[test]
fn an_expression_of_licences_is_read_as_spdx_means_it() {
    let allowed = BTreeSet::from(["MIT".to_owned(), "Apache-2.0".to_owned()]);
    assert!(may_be_kept("GPL-3.0 OR MIT", &allowed));
    assert!(may_be_kept("MIT/Apache-2.0", &allowed));
    assert!(may_be_kept("(MIT OR GPL-3.0) AND Apache-2.0", &allowed));
    assert!(!may_be_kept("MIT AND GPL-3.0", &allowed));
    assert!(!may_be_kept("", &allowed));
}

#[test]
fn every_package_has_a_licence_that_we_may_ship_and_comes_from_the_registry() {
    let mut faults = Vec::new();
    for package in packages().iter().chain(&packages_of(FUZZ)) {
        let (name, source) = (package["name"].as_str().unwrap(), package["source"].as_str());
        let licence = package["license"].as_str().unwrap_or_default();
        if !may_be_kept(licence, &allowed(name)) {
            faults.push(format!("{name}: its licence `{licence}` is not in deny.toml"));
        }
        if source.is_some_and(|source| !source.starts_with("registry+")) {
            faults.push(format!("{name}: comes from {source:?}, not from the registry"));
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn a_package_is_there_once_or_deny_toml_says_why() {
    let packages = packages();
    let names: Vec<&str> =
        packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    let twice = names.iter().filter(|name| names.iter().filter(|other| other == name).count() > 1);
    let twice: BTreeSet<&str> = twice.copied().collect();
    let deny = deny();
    let borne = deny["bans"]["skip"].as_array().unwrap();
    let borne: BTreeSet<&str> =
        borne.iter().filter_map(|row| row["crate"].as_str()?.split('@').next()).collect();
    assert_eq!(twice, borne, "left: what is there twice, right: what deny.toml says of it");
}

/// A decoder is as good as the libraries below it: the fuzzed ones are the shipped ones.
#[test]
fn what_is_fuzzed_is_what_runs_on_a_node() {
    let versions = |file: &str| -> BTreeSet<(String, String)> {
        let lock: Table = std::fs::read_to_string(root().join(file)).unwrap().parse().unwrap();
        let rows = lock["package"].as_array().unwrap().clone();
        let word = |row: &toml::Value, key: &str| row[key].as_str().unwrap().to_owned();
        rows.iter().map(|row| (word(row, "name"), word(row, "version"))).collect()
    };
    let (ours, fuzzed) = (versions("Cargo.lock"), versions("tests/fuzz/Cargo.lock"));
    let its_own = ["kubermesh-fuzz", "libfuzzer-sys", "arbitrary"];
    let differ: Vec<_> = fuzzed
        .difference(&ours)
        .filter(|(name, _)| !its_own.contains(&name.as_str()))
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    assert!(
        differ.is_empty(),
        "tests/fuzz/Cargo.lock has {differ:?} and Cargo.lock has not: {REFRESH}"
    );
}

#[test]
fn pid_1_links_few_crates_and_no_async_runtime() {
    let edges = ["-e", "normal,no-proc-macro", "--target", "x86_64-unknown-linux-musl"];
    let said = cargo(
        &[&["tree", "--locked", "-p", "init", "--prefix", "none", "-f", "{p}"], &edges[..]]
            .concat(),
    );
    let names: BTreeSet<&str> = said.lines().filter_map(|line| line.split(' ').next()).collect();
    let theirs: Vec<&str> = names
        .into_iter()
        .filter(|name| *name != "init" && !name.starts_with("kubermesh-"))
        .collect();
    assert!(theirs.contains(&"rustix"), "cargo tree was not understood: {said}");
    let count = theirs.len();
    assert!(
        count <= CRATES_IN_PID_1,
        "PID 1 links {count} crates, allowed are {CRATES_IN_PID_1}: {theirs:?}"
    );
    assert!(!theirs.contains(&"tokio") && !theirs.contains(&"async-std"), "{theirs:?}");
}
