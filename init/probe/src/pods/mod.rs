// SPDX-License-Identifier: Apache-2.0
//! The pods of this node: kubelet's folder says which are wanted, the container runtime which run.
//!
//! kubelet's own view (readiness) is not in the CRI; a pod counts when each container runs.

mod count;
mod manifests;
mod seen;

use std::path::Path;
use std::time::Duration;

use kubermesh_node::channel::{PodsReport, WatchPods};
use tokio::time::Instant;

use crate::check::{sentence, words};
#[cfg(fuzzing)]
use crate::cri::{Container, PodSandbox};
use crate::watch::{duration, later};
use manifests::Manifest;
#[cfg(fuzzing)]
pub(crate) use manifests::pod_name;
use seen::Pod;

/// One look may take so long; a look is a handful of calls.
const LOOK_LIMIT: Duration = Duration::from_secs(10);
/// Between looks while a pod is missing: its start is news, and a look costs more than a ping.
const EAGER: Duration = Duration::from_secs(1);
/// So many looks in a row without an answer, then the pods count as unseen. A restart of the
/// runtime is shorter, and its pods live on.
const UNSEEN_LIMIT: u32 = 5;

/// Looks again and again and tells each change. Ends only by being dropped.
pub(crate) async fn look(watch: &WatchPods, mut tell: impl FnMut(PodsReport)) {
    let mut told = None;
    let mut unseen: u32 = 0;
    loop {
        let started = Instant::now();
        let seen = see(&watch.cri).await;
        unseen = if seen.is_ok() { 0 } else { unseen.saturating_add(1) };
        let wanted = manifests::read(Path::new(&watch.manifests));
        let report = report(wanted.map_err(|refusal| words(&refusal)), seen, watch);
        let is_blink = told.is_some() && (1..UNSEEN_LIMIT).contains(&unseen);
        let pace = if report.running < report.wanted { EAGER } else { duration(watch.every) };
        if !is_blink && told.as_ref() != Some(&report) {
            told = Some(report.clone());
            tell(report);
        }
        tokio::time::sleep_until(later(started, pace.min(duration(watch.every)))).await;
    }
}

/// The report about pods of these names; a container that ended did so with 0.
#[cfg(fuzzing)]
pub(crate) fn told(
    names: &[&str],
    sandboxes: &[PodSandbox],
    containers: &[Container],
) -> PodsReport {
    let manifest = |name: &&str| Manifest { file: String::new(), pod: Some((*name).to_owned()) };
    let wanted: Vec<_> = names.iter().map(manifest).collect();
    count::count(&wanted, &seen::with_exit_code(0, sandboxes, containers))
}

pub(crate) async fn see(socket: &str) -> Result<Vec<Pod>, String> {
    match tokio::time::timeout(LOOK_LIMIT, seen::ask(socket)).await {
        Ok(answer) => answer.map_err(|refusal| sentence(&refusal)),
        Err(_) => Err(format!("{socket} did not answer within {}s", LOOK_LIMIT.as_secs())),
    }
}

fn report(
    wanted: Result<Vec<Manifest>, String>,
    seen: Result<Vec<Pod>, String>,
    watch: &WatchPods,
) -> PodsReport {
    match (wanted, seen) {
        (Ok(wanted), Ok(pods)) => count::count(&wanted, &pods),
        (Ok(wanted), Err(reason)) => {
            let sentence = format!("waiting to see the pods: {reason}");
            PodsReport { sentence, ..count::count(&wanted, &[]) }
        }
        (Err(reason), _) => {
            let sentence = format!("manifests in {}: {reason}", watch.manifests);
            PodsReport { sentence, ..PodsReport::default() }
        }
    }
}
