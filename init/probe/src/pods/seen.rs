// SPDX-License-Identifier: Apache-2.0
//! The static pods that are there, as the container runtime lists them.

use std::collections::BTreeMap;

use crate::cri::{
    Container, ContainerState, CriError, Metadata, PodSandbox, Runtime, SandboxState,
};

/// A pod whose sandbox is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pod {
    /// The manifest's name, `-` and the node's name.
    pub(crate) name: String,
    /// The last run of each container, oldest first.
    pub(crate) containers: Vec<Run>,
}

/// The last run of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) name: String,
    pub(crate) state: RunState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunState {
    Created,
    Running,
    Exited(i32),
    Unknown,
}

/// Asks for all of it.
pub(crate) async fn ask(socket: &str) -> Result<Vec<Pod>, CriError> {
    let runtime = Runtime::connect(socket).await?;
    let sandboxes = runtime.sandboxes().await?;
    let containers = runtime.containers().await?;
    let mut pods = Vec::new();
    for sandbox in static_pods(&sandboxes) {
        let mut runs = Vec::new();
        for container in last_runs(sandbox, &containers) {
            let code = match container.state {
                state if state == ContainerState::Exited as i32 => {
                    runtime.exit_code(&container.id).await?
                }
                _ => 0,
            };
            runs.push(run(container, code));
        }
        pods.push(Pod { name: name(&sandbox.metadata).to_owned(), containers: runs });
    }
    Ok(pods)
}

/// As [`ask`], of a runtime that answers this and for each container that ended this code.
#[cfg(fuzzing)]
pub(super) fn with_exit_code(
    code: i32,
    sandboxes: &[PodSandbox],
    containers: &[Container],
) -> Vec<Pod> {
    let pod = |sandbox: &PodSandbox| Pod {
        name: name(&sandbox.metadata).to_owned(),
        containers: last_runs(sandbox, containers).into_iter().map(|one| run(one, code)).collect(),
    };
    static_pods(sandboxes).into_iter().map(pod).collect()
}

fn run(container: &Container, exit_code: i32) -> Run {
    let state = match container.state {
        state if state == ContainerState::Created as i32 => RunState::Created,
        state if state == ContainerState::Running as i32 => RunState::Running,
        state if state == ContainerState::Exited as i32 => RunState::Exited(exit_code),
        _ => RunState::Unknown,
    };
    Run { name: name(&container.metadata).to_owned(), state }
}

/// The sandboxes that are up and come from kubelet's folder, the newest of each name.
fn static_pods(sandboxes: &[PodSandbox]) -> Vec<&PodSandbox> {
    let mut newest = BTreeMap::new();
    for sandbox in sandboxes {
        let source = sandbox.annotations.get("kubernetes.io/config.source");
        if sandbox.state != SandboxState::Ready as i32 || source.is_none_or(|from| from != "file") {
            continue;
        }
        let kept = newest.entry(name(&sandbox.metadata)).or_insert(sandbox);
        if kept.created_at < sandbox.created_at {
            *kept = sandbox;
        }
    }
    newest.into_values().collect()
}

/// Runs that ended stay in the runtime's list: the newest of each name counts.
fn last_runs<'a>(sandbox: &PodSandbox, containers: &'a [Container]) -> Vec<&'a Container> {
    let mut newest = BTreeMap::new();
    for container in containers.iter().filter(|one| one.pod_sandbox_id == sandbox.id) {
        let kept = newest.entry(name(&container.metadata)).or_insert(container);
        if kept.created_at < container.created_at {
            *kept = container;
        }
    }
    let mut runs: Vec<_> = newest.into_values().collect();
    runs.sort_by_key(|container| container.created_at);
    runs
}

fn name(metadata: &Option<Metadata>) -> &str {
    metadata.as_ref().map_or("", |metadata| &metadata.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sandbox(id: &str, name: &str, created_at: i64, source: &str) -> PodSandbox {
        PodSandbox {
            id: id.into(),
            metadata: Some(Metadata { name: name.into() }),
            created_at,
            annotations: [("kubernetes.io/config.source".to_owned(), source.to_owned())].into(),
            ..PodSandbox::default()
        }
    }

    fn container(id: &str, of: &str, name: &str, created_at: i64) -> Container {
        Container {
            id: id.into(),
            pod_sandbox_id: of.into(),
            metadata: Some(Metadata { name: name.into() }),
            created_at,
            ..Container::default()
        }
    }

    #[test]
    fn only_the_newest_sandbox_that_is_up_and_static_counts() {
        let down =
            PodSandbox { state: SandboxState::NotReady as i32, ..sandbox("4", "b", 9, "file") };
        let sandboxes = [
            sandbox("1", "a", 5, "file"),
            sandbox("2", "a", 3, "file"),
            sandbox("3", "from-api", 3, "api"),
            down,
        ];
        let ids: Vec<_> = static_pods(&sandboxes).iter().map(|sandbox| &sandbox.id).collect();
        assert_eq!(ids, ["1"]);
    }

    #[test]
    fn the_last_run_of_each_container_counts_in_the_order_they_began() {
        let containers = [
            container("1", "s", "b", 7),
            container("2", "s", "a", 9),
            container("3", "s", "b", 5),
            container("4", "other", "c", 1),
        ];
        let pod = sandbox("s", "pod", 1, "file");
        let ids: Vec<_> = last_runs(&pod, &containers).iter().map(|run| &run.id).collect();
        assert_eq!(ids, ["1", "2"]);
    }
}
