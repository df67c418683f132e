// SPDX-License-Identifier: Apache-2.0
//! The stop of pods against a runtime that obeys, refuses and hangs.

use super::*;
use crate::cri::fake::{Answer, Fake, container, field, number, sandbox};

/// Two pods with a network of their own and one (`cni`) on the node's, each with a container.
fn lists(call: &str, id: &str) -> Answer {
    Answer::Message(match call {
        "ListPodSandbox" => {
            [sandbox("s-cni", "cni"), sandbox("s-web", "web"), sandbox("s-db", "db")].concat()
        }
        "ListContainers" => [
            container("c-cni", "s-cni", "cni", 1),
            container("c-old", "s-web", "web", 2),
            container("c-web", "s-web", "web", 1),
            container("c-db", "s-db", "db", 1),
        ]
        .concat(),
        "PodSandboxStatus" => {
            let network = if id == "s-cni" { 2 } else { 0 };
            field(1, field(6, field(1, field(2, number(1, network)))))
        }
        _ => Vec::new(),
    })
}

#[tokio::test]
async fn pods_on_the_nodes_network_are_stopped_when_all_others_are() {
    let fake = Fake::serve(lists);
    stop(&fake.socket(), Span::from_secs(60)).await.unwrap();
    let mut stops = fake.stops();
    // The two of one class are stopped together, in any order.
    stops[..4].sort();
    let first = [
        "StopContainer c-db 7",
        "StopContainer c-web 7",
        "StopPodSandbox s-db",
        "StopPodSandbox s-web",
    ];
    assert_eq!(stops[..4], first);
    assert_eq!(stops[4..], ["StopContainer c-cni 7", "StopPodSandbox s-cni"]);
}

#[tokio::test]
async fn the_grace_of_a_pod_is_cut_to_fit_the_time_that_is_left() {
    let fake = Fake::serve(lists);
    stop(&fake.socket(), Span::from_secs(8)).await.unwrap();
    let stops = fake.stops();
    // Half of 8 s for each class, three quarters of it for the grace: less than 3 s, in whole seconds.
    assert!(stops.contains(&"StopContainer c-web 2".to_owned()), "{stops:?}");
    // What the first class did not need is the second's: three quarters of nearly 8 s.
    assert!(stops.contains(&"StopContainer c-cni 5".to_owned()), "{stops:?}");
}

#[tokio::test]
async fn a_pod_that_hangs_takes_its_share_and_no_other_pods() {
    let fake = Fake::serve(|call, id| match (call, id) {
        ("StopContainer", "c-web") => Answer::Silence,
        _ => lists(call, id),
    });
    let started = Instant::now();
    let refusal = stop(&fake.socket(), Span::from_secs(4)).await.unwrap_err().to_string();
    // It would be silent for ever.
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    let words = "1 of 3 pods did not stop: pod web: a container did not stop within ";
    let lasted = refusal.strip_prefix(words).and_then(|rest| rest.strip_suffix("ms"));
    let lasted: u64 = lasted.and_then(|number| number.parse().ok()).expect(&refusal);
    // Seven eighths of half of what the listing left of 4 s.
    assert!((1..=1750).contains(&lasted), "{refusal}");
    let stops = fake.stops();
    for sandbox in ["s-web", "s-db", "s-cni"] {
        assert!(stops.contains(&format!("StopPodSandbox {sandbox}")), "{stops:?}");
    }
}

#[tokio::test]
async fn a_runtime_that_hangs_halfway_is_given_up_in_time() {
    let fake = Fake::serve(|call, id| match call {
        "StopPodSandbox" => Answer::Silence,
        _ => lists(call, id),
    });
    let started = Instant::now();
    let refusal = stop(&fake.socket(), Span::from_secs(1)).await.unwrap_err().to_string();
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    assert!(refusal.starts_with("3 of 3 pods did not stop: "), "{refusal}");
    assert!(refusal.contains("pod cni: time is up after "), "{refusal}");
}

#[tokio::test]
async fn every_failure_is_named_and_stops_nobody_else() {
    let fake = Fake::serve(|call, id| match (call, id) {
        ("StopContainer", "c-cni") => Answer::Refusal("13", "shim is gone"),
        ("StopPodSandbox", "s-web") => Answer::Refusal("13", "network is gone"),
        _ => lists(call, id),
    });
    let socket = fake.socket();
    let refusal = stop(&socket, Span::from_secs(10)).await.unwrap_err().to_string();
    let words = format!(
        "2 of 3 pods did not stop: \
        pod web: {socket} answered StopPodSandbox with Internal: network is gone; \
        pod cni: {socket} answered StopContainer with Internal: shim is gone"
    );
    assert_eq!(refusal, words);
    assert!(fake.stops().contains(&"StopPodSandbox s-cni".to_owned()));
}

#[tokio::test]
async fn a_runtime_that_says_nothing_ends_the_wait_with_words() {
    let fake = Fake::serve(|_, _| Answer::Silence);
    let socket = fake.socket();
    let refusal = stop(&socket, Span::from_millis(300)).await.unwrap_err().to_string();
    assert_eq!(refusal, format!("list the pods: {socket} did not answer within 300ms"));
}
