// SPDX-License-Identifier: Apache-2.0
//! `kubermesh check`: whether files fit, on any laptop, with the code that the node reads them with.
//!
//! ```text
//! paths ─► gather: node.toml files and service files ─► node's own parsers ─► refusals with lines
//! ```

mod gather;
mod refusal;

use std::path::{Path, PathBuf};

use kubermesh_node::config::Config;
use kubermesh_node::service::{Catalog, Privileges, ServiceSpec, SpecError};
use serde_json::json;

use crate::print::{self, PrintError};
use gather::{File, Gathered};
use refusal::Refusal;

/// Why the answer is no.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckError {
    #[error("read {}", .path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{}: nothing to check: no node.toml and no service file", .path.display())]
    Nothing { path: PathBuf },
    #[error("{refused} of {files} files do not fit")]
    Refused { refused: usize, files: usize },
    #[error(transparent)]
    Print(#[from] PrintError),
}

/// Checks all and prints each refusal, or that all fit.
pub(crate) fn check_and_print(paths: &[PathBuf], as_json: bool) -> Result<(), CheckError> {
    let gathered = Gathered::from(paths)?;
    let refusals = check(&gathered);
    let files = gathered.count();
    if as_json {
        let each: Vec<_> = refusals.iter().map(Refusal::to_json).collect();
        print::json(&json!({ "files": files, "refusals": each }))?;
    } else if refusals.is_empty() {
        print::lines(&[format!(
            "{files} {}",
            if files == 1 { "file, fits" } else { "files, all fit" }
        )])?;
    } else {
        print::lines(&refusals.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    }
    if refusals.is_empty() {
        return Ok(());
    }
    let mut refused: Vec<&Path> = refusals.iter().map(|refusal| refusal.file.as_path()).collect();
    refused.sort_unstable();
    refused.dedup();
    Err(CheckError::Refused { refused: refused.len(), files })
}

fn check(gathered: &Gathered) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    for file in &gathered.configs {
        if let Err(refusal) = Config::parse(&file.name(), &file.text) {
            refusals.push(Refusal::of_config(file, refusal));
        }
    }
    for file in &gathered.lone_services {
        if let Err(refusal) = ServiceSpec::parse(&file.name(), &file.text) {
            refusals.push(Refusal::of_service(&[file], refusal));
        }
    }
    let services: Vec<&File> = gathered.services.values().collect();
    for file in gathered.lone_services.iter().chain(services.iter().copied()) {
        // What is no TOML at all is told once, as a service file.
        if let Err(refusal) = Privileges::parse(&file.name(), &file.text)
            && ServiceSpec::parse(&file.name(), &file.text).is_ok()
        {
            refusals.push(Refusal::of_service(&[file], refusal));
        }
    }
    let pairs = gathered.services.iter().map(|(name, file)| (name.as_str(), file.text.as_str()));
    let (_, unfit) = Catalog::lenient(pairs);
    // Who waits for a refused file is refused too, as if that were not there: it is, and it is told.
    let is_consequence = |refusal: &SpecError| {
        matches!(refusal, SpecError::UnknownService { missing, .. }
            if gathered.services.contains_key(&format!("{missing}.toml")))
    };
    let causes = unfit.into_iter().filter(|refusal| !is_consequence(refusal));
    refusals.extend(causes.map(|refusal| Refusal::of_service(&services, refusal)));
    refusals
}
