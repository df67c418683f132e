// SPDX-License-Identifier: Apache-2.0
//! Which of the wanted pods run, and what the first of the others waits for.

use kubermesh_node::brief::brief;
use kubermesh_node::channel::PodsReport;

use super::manifests::Manifest;
use super::seen::{Pod, Run, RunState};

pub(crate) fn count(wanted: &[Manifest], pods: &[Pod]) -> PodsReport {
    let found = matched(wanted, pods);
    let lacks: Vec<_> =
        found.iter().map(|pod| pod.map_or(Some("no sandbox yet".into()), lack)).collect();
    let missing = wanted.iter().zip(&lacks).find_map(|(manifest, lack)| {
        let pod =
            manifest.pod.as_ref().map_or_else(|| format!("of {}", manifest.file), Clone::clone);
        lack.as_ref().map(|lack| format!("waiting for pod {pod}: {lack}"))
    });
    let total = number(wanted.len());
    let sentence = missing.unwrap_or_else(|| match total {
        0 => "no static pod is wanted".to_owned(),
        1 => "1 pod runs".to_owned(),
        more => format!("{more} pods run"),
    });
    PodsReport {
        wanted: total,
        running: number(lacks.iter().filter(|lack| lack.is_none()).count()),
        // Names are the runtime's and the files' words: a report has a longest length.
        sentence: brief(&sentence),
    }
}

/// The pod of each manifest: the one with its name, `-` and the node's name. Longer names choose
/// first (`beacon-two` before `beacon`), files whose name was not found last, from what is left.
fn matched<'a>(wanted: &[Manifest], pods: &'a [Pod]) -> Vec<Option<&'a Pod>> {
    let mut left: Vec<&Pod> = pods.iter().collect();
    let mut found = vec![None; wanted.len()];
    let mut order: Vec<_> = wanted.iter().zip(&mut found).collect();
    order.sort_by_key(|(manifest, _)| {
        std::cmp::Reverse(manifest.pod.as_ref().map_or(0, String::len))
    });
    for (manifest, found) in order {
        let is_its = |pod: &&Pod| match &manifest.pod {
            Some(name) => {
                pod.name.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('-'))
            }
            None => true,
        };
        *found = left.iter().position(is_its).map(|at| left.swap_remove(at));
    }
    found
}

/// What a pod whose sandbox is up still lacks. The runtime does not say which containers were
/// meant to end: one that ended well and was followed by another is taken for an init container.
fn lack(pod: &Pod) -> Option<String> {
    let Some(last) = pod.containers.last() else { return Some("no container yet".into()) };
    pod.containers.iter().find_map(|run| {
        let Run { name, state } = run;
        match state {
            RunState::Running => None,
            RunState::Exited(0) if run != last => None,
            RunState::Exited(code) => Some(format!("container {name} exited ({code})")),
            RunState::Created => Some(format!("container {name} is about to start")),
            RunState::Unknown => Some(format!("container {name} is in a state that nobody knows")),
        }
    })
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::RunState::{Created, Exited, Running};
    use super::*;

    fn wanted(names: &[&str]) -> Vec<Manifest> {
        let manifest = |name: &&str| Manifest {
            file: format!("{name}.yaml"),
            pod: (!name.starts_with('?')).then(|| (*name).to_owned()),
        };
        names.iter().map(manifest).collect()
    }

    fn pod(name: &str, states: &[RunState]) -> Pod {
        let run = |(at, state): (usize, &RunState)| Run { name: format!("c{at}"), state: *state };
        Pod { name: name.into(), containers: states.iter().enumerate().map(run).collect() }
    }

    fn told(names: &[&str], pods: &[Pod]) -> String {
        let report = count(&wanted(names), pods);
        format!("{}/{} {}", report.running, report.wanted, report.sentence)
    }

    #[test]
    fn the_first_missing_pod_is_told_with_what_it_waits_for() {
        assert_eq!(told(&["beacon"], &[]), "0/1 waiting for pod beacon: no sandbox yet");
        let empty = pod("beacon-n1", &[]);
        assert_eq!(told(&["beacon"], &[empty]), "0/1 waiting for pod beacon: no container yet");
        let created = pod("beacon-n1", &[Created]);
        assert_eq!(
            told(&["beacon"], &[created]),
            "0/1 waiting for pod beacon: container c0 is about to start"
        );
        let failed = pod("beacon-n1", &[Running, Exited(1)]);
        assert_eq!(
            told(&["beacon"], &[failed]),
            "0/1 waiting for pod beacon: container c1 exited (1)"
        );
        let ended = pod("beacon-n1", &[Exited(0)]);
        assert_eq!(
            told(&["beacon"], &[ended]),
            "0/1 waiting for pod beacon: container c0 exited (0)"
        );
    }

    #[test]
    fn a_name_without_end_does_not_make_a_report_without_end() {
        let run = Run { name: "x".repeat(100_000), state: Exited(1) };
        let said = told(&["beacon"], &[Pod { name: "beacon-n1".into(), containers: vec![run] }]);
        assert!(said.len() < 700 && said.ends_with("xxx…"), "{} bytes", said.len());
    }

    #[test]
    fn pods_that_run_are_counted() {
        assert_eq!(told(&[], &[]), "0/0 no static pod is wanted");
        assert_eq!(told(&["beacon"], &[pod("beacon-n1", &[Exited(0), Running])]), "1/1 1 pod runs");
        let stale = pod("removed-n1", &[Running]);
        assert_eq!(told(&["beacon"], &[stale]), "0/1 waiting for pod beacon: no sandbox yet");
    }

    #[test]
    fn one_pod_serves_one_manifest_and_the_longer_name_chooses_first() {
        let two = [pod("beacon-two-n1", &[Running])];
        assert_eq!(
            told(&["beacon", "beacon-two"], &two),
            "1/2 waiting for pod beacon: no sandbox yet"
        );
        let both = [pod("beacon-two-n1", &[Running]), pod("beacon-n1", &[Running])];
        assert_eq!(told(&["beacon", "beacon-two"], &both), "2/2 2 pods run");
    }

    #[test]
    fn a_manifest_without_a_name_takes_what_is_left() {
        let one = [pod("odd-n1", &[Running]), pod("beacon-n1", &[Running])];
        assert_eq!(told(&["?", "beacon"], &one), "2/2 2 pods run");
        assert_eq!(told(&["?"], &[]), "0/1 waiting for pod of ?.yaml: no sandbox yet");
    }
}
