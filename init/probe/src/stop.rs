// SPDX-License-Identifier: Apache-2.0
//! Stops the pods of this node through the CRI, when the machine goes down and kubelet is gone.
//!
//! Pods with a network of their own first, together; then those on the node's network, which may
//! carry the others'. Every step has its share of the time, and a failure stops nobody else.

use std::io::{self, Write};
use std::time::Duration;

use kubermesh_node::time::Span;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use crate::cri::{ContainerState, CriError, Runtime, SandboxState};
use crate::watch::{duration, later};

/// kubelet's default for terminationGracePeriodSeconds.
const GRACE_DEFAULT: Duration = Duration::from_secs(30);

/// Why not every pod was stopped.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// The kernel gave no epoll.
    #[error("wait for the container runtime")]
    Wait(#[source] io::Error),
    /// The runtime did not say which pods there are.
    #[error("list the pods")]
    List(#[source] CriError),
    /// It did not say so in time.
    #[error("list the pods: {cri} did not answer within {within}")]
    ListLate {
        /// Path of its socket.
        cri: String,
        /// All the time that there was.
        within: Span,
    },
    /// Some pods live on.
    #[error("{} of {pods} pods did not stop: {}", .errors.len(), joined(.errors))]
    Pods {
        /// How many there were.
        pods: usize,
        /// Why, for each that did not stop.
        errors: Vec<PodError>,
    },
}

/// Why one pod was not stopped.
#[derive(Debug, thiserror::Error)]
#[error("pod {pod}: {reason}")]
pub struct PodError {
    /// Its name.
    pub pod: String,
    /// Each call that failed, or that time was up.
    pub reason: String,
}

/// Stops every pod, within `within` in all. Progress goes to standard error, a line each.
///
/// # Errors
/// The runtime does not answer, or pods did not stop: all of them are named.
pub fn stop_pods(cri: &str, within: Span) -> Result<(), StopError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(StopError::Wait)?;
    runtime.block_on(stop(cri, within))
}

async fn stop(cri: &str, within: Span) -> Result<(), StopError> {
    let deadline = later(Instant::now(), duration(within));
    let late = |_| StopError::ListLate { cri: cri.to_owned(), within };
    let listed = timeout_at(deadline, list(cri)).await.map_err(late)?;
    let (runtime, all) = listed.map_err(StopError::List)?;
    let pods = all.len();
    say(&format!("pods to stop within {within}: {pods}"));
    let (last, first): (Vec<_>, Vec<_>) = all.into_iter().partition(|pod| pod.has_host_network);
    let mut errors = Vec::new();
    for (class, classes_left) in [(first, if last.is_empty() { 1 } else { 2 }), (last, 1)] {
        let remaining = deadline.saturating_duration_since(Instant::now());
        let share = remaining.checked_div(classes_left).unwrap_or_default();
        errors.extend(stop_together(&runtime, class, share).await);
    }
    if errors.is_empty() { Ok(()) } else { Err(StopError::Pods { pods, errors }) }
}

/// A pod to be stopped.
#[derive(Debug)]
struct Pod {
    id: String,
    name: String,
    has_host_network: bool,
    containers: Vec<Running>,
}

/// A container that runs, and how long its pod lets it take to end.
#[derive(Debug)]
struct Running {
    id: String,
    grace: Duration,
}

/// Every pod that has anything left to stop.
async fn list(cri: &str) -> Result<(Runtime, Vec<Pod>), CriError> {
    let runtime = Runtime::connect(cri).await?;
    let containers = runtime.containers().await?;
    let mut pods = Vec::new();
    for sandbox in runtime.sandboxes().await? {
        let containers: Vec<_> = containers
            .iter()
            .filter(|one| one.pod_sandbox_id == sandbox.id)
            .filter(|one| one.state == ContainerState::Running as i32)
            .map(|one| {
                let annotation = one.annotations.get("io.kubernetes.pod.terminationGracePeriod");
                let grace = annotation.and_then(|text| text.parse().ok()).map(Duration::from_secs);
                Running { id: one.id.clone(), grace: grace.unwrap_or(GRACE_DEFAULT) }
            })
            .collect();
        if sandbox.state == SandboxState::Ready as i32 || !containers.is_empty() {
            // A pod whose network is not known goes with the many.
            let has_host_network = runtime.has_host_network(&sandbox.id).await.unwrap_or(false);
            let name =
                sandbox.metadata.map_or_else(|| sandbox.id.clone(), |metadata| metadata.name);
            pods.push(Pod { id: sandbox.id, name, has_host_network, containers });
        }
    }
    Ok((runtime, pods))
}

/// Stops these pods at the same time, within `share`.
async fn stop_together(runtime: &Runtime, pods: Vec<Pod>, share: Duration) -> Vec<PodError> {
    let mut stopping = JoinSet::new();
    for pod in pods {
        let runtime = runtime.clone();
        stopping.spawn(async move {
            let started = Instant::now();
            let reasons = match timeout(share, stop_pod(&runtime, &pod, share)).await {
                Ok(reasons) => reasons,
                Err(_) => vec![format!("time is up after {}ms", share.as_millis())],
            };
            if reasons.is_empty() {
                say(&format!("pod {} stopped after {}ms", pod.name, started.elapsed().as_millis()));
                return None;
            }
            let failed = PodError { pod: pod.name, reason: reasons.join(", ") };
            say(&format!("{failed}"));
            Some(failed)
        });
    }
    // A task that panicked ended the process already.
    stopping.join_all().await.into_iter().flatten().collect()
}

/// Its containers with their grace, then the pod itself, whatever became of them.
async fn stop_pod(runtime: &Runtime, pod: &Pod, share: Duration) -> Vec<String> {
    let eighths = |count: u32| share.saturating_mul(count).checked_div(8).unwrap_or_default();
    // A quarter is left to kill what ignores SIGTERM; half of that for the pod itself.
    let (grace_most, patience) = (eighths(6), eighths(7));
    let mut stopping = JoinSet::new();
    for container in &pod.containers {
        let (runtime, id) = (runtime.clone(), container.id.clone());
        let grace_secs =
            i64::try_from(container.grace.min(grace_most).as_secs()).unwrap_or(i64::MAX);
        stopping.spawn(async move {
            let stop = timeout(patience, runtime.stop_container(&id, grace_secs)).await;
            let late = |_| format!("a container did not stop within {}ms", patience.as_millis());
            stop.map_err(late)?.map_err(|refusal| refusal.to_string())
        });
    }
    let mut results = stopping.join_all().await;
    results.push(runtime.stop_sandbox(&pod.id).await.map_err(|refusal| refusal.to_string()));
    results.into_iter().filter_map(Result::err).collect()
}

fn joined(errors: &[PodError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// A progress line. Nobody may be left to read it: that stops no pod's end.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "stop-pods: {line}");
}

#[cfg(test)]
mod tests;
