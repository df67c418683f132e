// SPDX-License-Identifier: Apache-2.0
//! The worker at the end of a real channel: PID 1's part is played by the test.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use kubermesh_node::channel::{Envelope, Report, VERSION};
use kubermesh_node::service::Check;
use kubermesh_node::time::Span;
use kubermesh_sys::seqpacket;

use super::*;
use crate::cri::fake::{Answer, Fake, container, field, number, sandbox};

/// PID 1's end.
struct Init(AsyncFd<Polled<OwnedFd>>);

impl Init {
    fn order(&self, order: Order) {
        self.say(&serde_json::to_vec(&Envelope { version: VERSION, body: order }).unwrap());
    }

    fn say(&self, bytes: &[u8]) {
        seqpacket::send(&self.0.get_ref().0, bytes, None).unwrap();
    }

    /// The next report, in words; `-` when there is none within `lasts`.
    async fn hear_within(&self, lasts: Duration) -> String {
        tokio::time::timeout(lasts, self.next()).await.unwrap_or_else(|_| "-".into())
    }

    async fn next(&self) -> String {
        loop {
            let mut ready = self.0.readable().await.unwrap();
            match seqpacket::receive(&self.0.get_ref().0, 65536) {
                Ok(Some(message)) => {
                    let report: Envelope<Report> = serde_json::from_slice(&message.bytes).unwrap();
                    return words(report.body);
                }
                Ok(None) => return "closed".into(),
                Err(_) => ready.clear_ready(),
            }
        }
    }

    async fn hear(&self) -> String {
        self.hear_within(Duration::from_secs(10)).await
    }
}

fn words(report: Report) -> String {
    match report {
        Report::Pong { number } => format!("pong {number}"),
        Report::Health(told) => {
            format!(
                "{} {} {}",
                told.service,
                told.instance,
                if told.healthy { "healthy" } else { "unhealthy" }
            )
        }
        Report::Pods(told) => format!("{}/{} {}", told.running, told.wanted, told.sentence),
        other @ (Report::Network(_) | Report::Lights(_) | Report::Log(_) | Report::Storage(_)) => {
            format!("{other:?}")
        }
    }
}

/// Runs the worker beside `story`, which plays PID 1 and closes the channel at its end.
fn tell(story: impl AsyncFnOnce(&Init)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (theirs, ours) = seqpacket::pair().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let init = Init(polled(ours, Interest::READABLE).unwrap());
        let worker = tokio::task::spawn_local(serve(Channel::over(theirs)));
        story(&init).await;
        drop(init);
        let ended = tokio::time::timeout(Duration::from_secs(5), worker).await;
        ended.expect("the worker ends when its channel is closed").unwrap().unwrap();
    });
}

/// Less than the `timeout` below: who waited for one that hangs would answer after it.
const BEFORE_A_TRY_ENDS: Duration = Duration::from_millis(2500);

fn ping(service: &str, instance: u64, path: &Path) -> Order {
    Order::Watch(Watch {
        service: service.parse().unwrap(),
        instance,
        check: Check::Ping(path.to_str().unwrap().to_owned()),
        every: Span::from_millis(20),
        timeout: Span::from_secs(3),
        failures: 2,
    })
}

/// A worker that answers each ping until it is dropped; then nobody listens.
struct Answering(tokio::task::JoinHandle<()>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn answer_at(path: &Path) -> Answering {
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path).unwrap();
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::UnixListener::from_std(listener).unwrap();
    Answering(tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.into_std().unwrap().write_all(b"ok\n").unwrap();
        }
    }))
}

#[test]
fn a_ping_is_answered_at_once_while_a_service_hangs() {
    tell(async |init| {
        let folder = tempfile::tempdir().unwrap();
        let silent = folder.path().join("silent");
        let _listener = UnixListener::bind(&silent).unwrap();
        init.order(ping("silent", 1, &silent));
        init.order(Order::Ping { number: 7 });
        assert_eq!(init.hear_within(BEFORE_A_TRY_ENDS).await, "pong 7");
        assert_eq!(init.hear().await, "silent 1 unhealthy");
    });
}

#[test]
fn a_service_that_hangs_delays_no_other() {
    tell(async |init| {
        let folder = tempfile::tempdir().unwrap();
        let (silent, well) = (folder.path().join("silent"), folder.path().join("well"));
        let _listener = UnixListener::bind(&silent).unwrap();
        let _well = answer_at(&well);
        init.order(ping("silent", 1, &silent));
        init.order(ping("well", 1, &well));
        assert_eq!(init.hear_within(BEFORE_A_TRY_ENDS).await, "well 1 healthy");
    });
}

#[test]
fn only_changes_are_told() {
    tell(async |init| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let well = answer_at(&path);
        init.order(ping("net", 3, &path));
        assert_eq!(init.hear().await, "net 3 healthy");
        assert_eq!(init.hear_within(Duration::from_millis(300)).await, "-");
        drop(well);
        assert_eq!(init.hear().await, "net 3 unhealthy");
        assert_eq!(init.hear_within(Duration::from_millis(300)).await, "-");
        let _well = answer_at(&path);
        assert_eq!(init.hear().await, "net 3 healthy");
    });
}

#[test]
fn another_run_is_another_watch_and_nothing_is_said_of_the_earlier_one() {
    tell(async |init| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let _well = answer_at(&path);
        // The first order has begun a try before the second one comes, or it has not: never two runs.
        init.order(ping("net", 1, &path));
        init.order(ping("net", 2, &path));
        assert_eq!(init.hear().await, "net 2 healthy");
        assert_eq!(init.hear_within(Duration::from_millis(300)).await, "-");
        init.order(Order::Unwatch { service: "net".parse().unwrap() });
        drop(_well);
        assert_eq!(init.hear_within(Duration::from_millis(300)).await, "-");
    });
}

#[test]
fn what_was_heard_of_an_earlier_run_and_is_not_told_yet_never_is() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let outbox = Rc::new(Outbox::default());
        let mut tasks = Tasks { outbox: Rc::clone(&outbox), services: BTreeMap::new(), pods: None };
        let sentence = String::new();
        let service = "net".parse().unwrap();
        outbox.health(HealthReport { service, instance: 1, healthy: true, sentence });
        tasks.follow(ping("net", 2, Path::new("/nowhere")));
        assert_eq!(outbox.next(), None);
    });
}

#[test]
fn a_pid_1_that_does_not_read_gets_the_last_of_each_when_it_does() {
    tell(async |init| {
        // More pongs than any socket buffer holds, with pauses in which the worker fills it.
        for number in 0..1000 {
            init.order(Order::Ping { number });
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
        let mut last = String::new();
        while last != "pong 999" {
            last = init.hear().await;
            assert_ne!(last, "-", "the last pong never came");
        }
    });
}

#[test]
fn what_is_not_understood_is_passed_over() {
    tell(async |init| {
        init.say(br#"{"version":99,"body":"?"}"#);
        init.order(Order::Identify { lasts: Span::from_secs(1) });
        init.order(Order::Ping { number: 1 });
        assert_eq!(init.hear().await, "pong 1");
    });
}

#[test]
fn pods_that_cannot_be_seen_are_told_with_the_reason() {
    tell(async |init| {
        let folder = tempfile::tempdir().unwrap();
        let manifest = folder.path().join("beacon.yaml");
        std::fs::write(manifest, "metadata:\n  name: beacon\n").unwrap();
        init.order(Order::WatchPods(WatchPods {
            cri: "/nowhere/cri.sock".into(),
            manifests: folder.path().to_str().unwrap().into(),
            every: Span::from_secs(1),
        }));
        let words = "0/1 waiting to see the pods: /nowhere/cri.sock: not there";
        assert_eq!(init.hear().await, words);
        assert_eq!(init.hear_within(Duration::from_millis(1500)).await, "-");
    });
}

#[test]
fn a_static_pod_is_told_when_its_container_ends_and_when_it_runs_again() {
    use std::sync::atomic::{AtomicU8, Ordering};
    /// 1 runs, 2 has ended (api.proto, `ContainerState`).
    static STATE: AtomicU8 = AtomicU8::new(1);
    tell(async |init| {
        let folder = tempfile::tempdir().unwrap();
        let manifest = folder.path().join("beacon.yaml");
        std::fs::write(manifest, "metadata:\n  name: beacon\n").unwrap();
        let runtime = Fake::serve(|call, _| {
            Answer::Message(match call {
                "ListPodSandbox" => sandbox("s1", "beacon-n1"),
                "ListContainers" => container("c1", "s1", "beacon", STATE.load(Ordering::Relaxed)),
                _ => field(1, number(7, 3)),
            })
        });
        init.order(Order::WatchPods(WatchPods {
            cri: runtime.socket(),
            manifests: folder.path().to_str().unwrap().into(),
            every: Span::from_secs(1),
        }));
        assert_eq!(init.hear().await, "1/1 1 pod runs");
        STATE.store(2, Ordering::Relaxed);
        assert_eq!(init.hear().await, "0/1 waiting for pod beacon: container beacon exited (3)");
        STATE.store(1, Ordering::Relaxed);
        assert_eq!(init.hear().await, "1/1 1 pod runs");
        // The runtime restarts: its pods live on, and nothing is said.
        drop(runtime);
        assert_eq!(init.hear_within(Duration::from_millis(1500)).await, "-");
    });
}
