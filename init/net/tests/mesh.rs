// SPDX-License-Identifier: Apache-2.0
//! Two machines on a cable, each with this worker and a real BIRD, against the real kernel.
//! Needs root, `ip` and `bird`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may stop where it stands"
)]

mod desk;

use std::fs::File;
use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use desk::Machine;
use kubermesh_node::channel::{AddressState, NetworkReport, Port};

fn port<'a>(report: &'a NetworkReport, name: &str) -> Option<&'a Port> {
    report.ports.iter().find(|port| port.name == name)
}

fn is_full(report: &NetworkReport, name: &str) -> bool {
    port(report, name).and_then(|port| port.neighbour.as_ref()).is_some_and(|there| there.is_full)
}

/// Two machines with `eth0` to `eth0`, both on. A BIRD that a busy machine gives no core for a while is
/// not taken for a broken cable: BFD waits three times as long as this.
fn pair() -> (Machine, Machine) {
    let slow = "[mesh]\nbfd = \"2s\"";
    let (mut one, mut two) = (Machine::new(1, slow), Machine::new(2, slow));
    one.cable("eth0", &two, "eth0");
    one.switch_on();
    two.switch_on();
    (one, two)
}

/// Fails when `from` does not come to reach a listener at this address of `to`. Routes there and back come some seconds
/// after the neighbour is full, at each end in its own time.
fn await_reach(from: &Machine, to: &Machine, address: IpAddr) {
    let listener = to.inside(move || TcpListener::bind(SocketAddr::new(address, 0)).unwrap());
    let there = listener.local_addr().unwrap();
    let end = Instant::now() + Duration::from_secs(15);
    let reached = from.inside(move || {
        loop {
            match TcpStream::connect_timeout(&there, Duration::from_secs(2)) {
                Err(_) if Instant::now() < end => std::thread::sleep(Duration::from_millis(100)),
                tried => return tried.map(drop),
            }
        }
    });
    assert!(reached.is_ok(), "{there} cannot be reached within 15 s: {reached:?}");
}

#[test]
fn two_machines_on_a_cable_become_full_neighbours_and_reach_each_other() {
    let (mut one, mut two) = pair();
    let report = one.await_report("a full neighbour", |report| is_full(report, "eth0"));
    two.await_report("a full neighbour", |report| is_full(report, "eth0"));
    let eth0 = port(&report, "eth0").unwrap();
    assert_eq!(eth0.address, AddressState::Ready);
    assert_eq!(eth0.neighbour.as_ref().unwrap().router_id, two.plan.mesh.router_id.to_string());
    assert!(eth0.carrier && report.address_ready && report.routing, "{report:#?}");
    assert_eq!(report.faults, []);

    for (setting, value) in [("accept_ra", "0"), ("forwarding", "1"), ("addr_gen_mode", "0")] {
        let path = format!("/proc/sys/net/ipv6/conf/eth0/{setting}");
        assert_eq!(one.read(&path).trim(), value, "{setting}");
    }
    let link = one.run("ip link show eth0");
    assert!(link.contains("mtu 1500") && link.contains("altname test-0000:eth0"), "{link}");

    let pods = two.plan.pods.v6.to_string();
    await_route(&one, &pods);
    await_route(&one, &two.plan.mesh.address.to_string());
    let route = one.run(&format!("ip -6 route get {}", two.plan.mesh.address));
    assert!(route.contains(&format!("src {}", one.plan.mesh.address)), "{route}");
    await_reach(&one, &two, two.plan.mesh.address.into());
    let own = two.run("ip -6 route show type unreachable");
    assert!(own.contains(&pods), "what is for no pod must end here: {own}");
}

#[test]
fn an_anycast_address_is_announced_and_what_else_is_on_lo_is_not() {
    let (mut one, two) = pair();
    one.await_report("a full neighbour", |report| is_full(report, "eth0"));
    two.run("ip addr add fd99::/64 dev lo");
    two.run("ip addr add fd98::5/128 dev lo");
    await_route(&one, "fd98::5");
    assert!(!one.run("ip -6 route").contains("fd99::"));
    two.run("ip addr del fd98::5/128 dev lo");
    let end = Instant::now() + Duration::from_secs(20);
    while one.run("ip -6 route").contains("fd98::5") {
        assert!(Instant::now() < end, "still announced after 20s");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(two.run("ip -6 addr show dev lo").contains("fd99::/64"), "not ours to take away");
}

#[test]
fn the_neighbour_reaches_a_pod_and_the_pod_reaches_it() {
    let (mut one, mut two) = pair();
    one.await_report("a full neighbour", |report| is_full(report, "eth0"));
    two.await_report("a full neighbour", |report| is_full(report, "eth0"));
    await_route(&one, &two.plan.pods.v6.to_string());
    // What PID 1 sets for the whole node, and what the ptp plugin makes for a pod.
    two.inside(|| std::fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1").unwrap());
    let pod = Machine::new(3, "");
    two.cable("pod0", &pod, "pod0");
    let network = two.plan.pods.v6.network().to_bits();
    let [gateway, address] = [1, 5].map(|host| std::net::Ipv6Addr::from_bits(network | host));
    two.run("ip link set pod0 up");
    two.run(&format!("ip addr add {gateway}/128 dev pod0 nodad"));
    two.run(&format!("ip -6 route add {address}/128 dev pod0"));
    pod.run("ip link set lo up");
    pod.run("ip link set pod0 up");
    pod.run(&format!("ip addr add {address}/64 dev pod0 nodad"));
    pod.run(&format!("ip -6 route add default via {gateway} dev pod0"));
    await_reach(&one, &pod, address.into());
    await_reach(&pod, &one, one.plan.mesh.address.into());
    await_reach(&pod, &two, two.plan.mesh.address.into());
}

#[test]
fn a_port_that_comes_and_goes_leaves_the_other_adjacency_alone() {
    let (mut one, mut two) = pair();
    let first = one.await_report("a full neighbour", |report| is_full(report, "eth0"));
    one.cable("eth1", &two, "eth1");
    let both = one.await_report("a second full neighbour", |report| is_full(report, "eth1"));
    let since = |report: &NetworkReport| port(report, "eth0")?.neighbour.clone().map(|n| n.since);
    assert_eq!(since(&first), since(&both), "the first adjacency began anew");
    // A veth's end loses its carrier when the other one is down, which a worker would mend.
    two.stop_worker();
    two.run("ip link set eth1 down");
    let pulled = one.await_report("the pulled cable", |report| {
        port(report, "eth1").is_some_and(|port| !port.carrier && port.neighbour.is_none())
    });
    assert_eq!(since(&first), since(&pulled));
    one.run("ip link del eth1");
    let gone = one.await_report("the port's end", |report| port(report, "eth1").is_none());
    assert_eq!(since(&first), since(&gone));
    assert!(!one.read("/run/bird/bird.conf").contains("eth1"));
}

#[test]
fn a_bird_that_dies_is_missed_and_found_again() {
    let (mut one, _two) = pair();
    one.await_report("a full neighbour", |report| is_full(report, "eth0"));
    one.kill_bird();
    one.await_report("BIRD's death", |report| !report.routing && !is_full(report, "eth0"));
    one.start_bird();
    one.await_report("a full neighbour again", |report| report.routing && is_full(report, "eth0"));
}

#[test]
fn a_new_run_of_the_worker_finds_everything_as_it_was() {
    let (mut one, _two) = pair();
    one.await_report("a full neighbour", |report| is_full(report, "eth0"));
    let uptime = one.run("ip -6 addr show dev lo");
    one.stop_worker();
    one.start_worker();
    one.await_report("nothing yet", |report| !report.routing);
    one.await_report("a full neighbour", |report| report.routing && is_full(report, "eth0"));
    assert_eq!(one.run("ip -6 addr show dev lo"), uptime);
}

#[test]
fn two_machines_with_one_identity_are_told_so() {
    let (mut one, mut two) = (Machine::new(1, ""), Machine::new(1, ""));
    one.cable("eth0", &two, "eth0");
    one.switch_on();
    two.switch_on();
    let told = one.await_report("the fault", |report| !report.faults.is_empty());
    assert_eq!(told.faults[0].subject, "port eth0");
    assert!(told.faults[0].sentence.ends_with(": a copied identity"), "{told:#?}");
}

#[test]
fn other_timers_at_the_other_end_are_told() {
    let (mut one, mut two) =
        (Machine::new(1, ""), Machine::new(2, "[mesh]\nhello = \"2s\"\ndead = \"8s\""));
    one.cable("eth0", &two, "eth0");
    one.switch_on();
    two.switch_on();
    let told = one.await_report("the fault", |report| !report.faults.is_empty());
    assert!(told.faults[0].sentence.contains("hello interval mismatch (2)"), "{told:#?}");
}

#[test]
fn an_address_that_somebody_has_is_a_fault_and_the_node_is_ready_all_the_same() {
    let (mut one, two) = (Machine::new(1, ""), Machine::new(2, ""));
    one.cable("eth0", &two, "eth0");
    one.run("ip link set eth0 address 02:00:00:00:00:01");
    two.run("ip link set eth0 up");
    two.run("ip addr add fe80::ff:fe00:1/64 dev eth0 nodad");
    one.start_worker();
    let told = one.await_report("readiness", |report| report.address_ready);
    assert_eq!(port(&told, "eth0").unwrap().address, AddressState::Duplicate);
    assert!(told.faults[0].sentence.contains("has its link-local address"), "{told:#?}");
}

#[test]
fn a_machine_without_a_port_is_ready() {
    let mut one = Machine::new(1, "[ports]\neth9 = \"uplink\"");
    one.switch_on();
    let told = one.await_report("readiness", |report| report.address_ready && report.routing);
    assert_eq!(told.ports, []);
    assert_eq!(told.faults[0].sentence, "[ports] names eth9, but there is no such port");
    assert!(
        one.read("/run/etc-cni/net.d/10-kubermesh.conflist").contains("\"cniVersion\":\"1.0.0\"")
    );
}

#[test]
fn an_uplink_and_a_port_that_is_off_get_no_router() {
    let (mut one, two) =
        (Machine::new(1, "[ports]\neth0 = \"uplink\"\neth1 = \"off\""), Machine::new(2, ""));
    one.cable("eth0", &two, "eth0");
    one.cable("eth1", &two, "eth1");
    one.switch_on();
    one.await_report("readiness", |report| report.address_ready && report.routing);
    let config = one.read("/run/bird/bird.conf");
    assert!(!config.contains("eth0") && !config.contains("eth1"), "{config}");
    assert_eq!(one.read("/proc/sys/net/ipv6/conf/eth0/accept_ra").trim(), "2");
    assert!(one.run("ip link show eth1").contains("state DOWN"));
    assert!(one.run("ip link show eth0").contains("mtu 2000"));
}

#[test]
fn a_port_that_came_while_the_kernel_had_to_drop_notices_is_not_missed() {
    let (mut one, two) = (Machine::new(1, ""), Machine::new(2, ""));
    let deaf = deafen(&mut one, &two);
    storm(&one);
    one.cable("eth1", &two, "eth1");
    assert!(has_dropped(&one), "the kernel dropped no notice");
    // The worker has others to serve while it reads everything anew.
    let asks = one.ask_for_health();
    hear_again(&one, deaf);
    one.await_report("the new port", |report| port(report, "eth1").is_some());
    drop(asks);
}

#[test]
fn what_the_kernel_told_before_it_had_to_drop_notices_is_not_taken_for_news() {
    let (mut one, two) = (Machine::new(1, ""), Machine::new(2, ""));
    one.cable("eth1", &two, "eth1");
    let deaf = deafen(&mut one, &two);
    two.run("ip link set eth0 down");
    await_state(&one, "eth0", false);
    storm(&one);
    two.run("ip link set eth0 up");
    await_state(&one, "eth0", true);
    assert!(has_dropped(&one), "the kernel dropped no notice");
    hear_again(&one, deaf);
    let speed = |report: &NetworkReport| port(report, "eth0").unwrap().speed_mbit;
    one.await_report("the speed", |report| speed(report) == Some(1000));
    one.await_report("what was read anew", |report| speed(report).is_none());
    // Told last, so it is taken in last.
    two.run("ip link set eth1 up");
    let report = one.await_report("a carrier", |report| port(report, "eth1").unwrap().carrier);
    assert!(port(&report, "eth0").unwrap().carrier, "{report:#?}");
}

/// A worker that reads no notices: it asks for the speed of eth0, and waits for somebody to write it.
fn deafen(one: &mut Machine, two: &Machine) -> File {
    one.cable("eth0", two, "eth0");
    two.run("ip link set eth0 up");
    one.start_worker();
    one.await_report("a carrier", |report| port(report, "eth0").is_some_and(|port| port.carrier));
    await_state(one, "eth0", true);
    one.run("mkdir -p /run/no-sysfs/class/net/eth0");
    one.run("mkfifo /run/no-sysfs/class/net/eth0/speed");
    one.run("ip link set eth0 txqueuelen 999");
    one.inside(|| File::options().write(true).open(SPEED).unwrap())
}

fn hear_again(one: &Machine, mut deaf: File) {
    one.run(&format!("rm {SPEED}"));
    deaf.write_all(b"1000\n").unwrap();
}

const SPEED: &str = "/run/no-sysfs/class/net/eth0/speed";

/// Makes the kernel tell of more changes than a socket's buffer takes.
fn storm(machine: &Machine) {
    let changes = (0..STORM).map(|at| format!("link set lo txqueuelen {}\n", at + 1));
    let changes: String = changes.collect();
    machine.inside(move || std::fs::write("/run/storm", changes).unwrap());
    machine.run("ip -batch /run/storm");
}

/// Link notices that do not fit a socket's buffer: 208 KiB, and a notice takes 2 KiB and more.
const STORM: usize = 1000;

/// The kernel tells of a carrier some time after it has changed, when it changes the state.
fn await_state(machine: &Machine, port: &str, up: bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while machine.run(&format!("ip link show {port}")).contains("state UP") != up {
        assert!(Instant::now() < end, "{port} did not change within 20s");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a netlink socket of the machine has lost something: the ninth column, proc(5).
fn has_dropped(machine: &Machine) -> bool {
    let table = machine.read("/proc/thread-self/net/netlink");
    let mut drops = table.lines().skip(1).filter_map(|line| line.split_whitespace().nth(8));
    drops.any(|count| count != "0")
}

/// BIRD calculates routes at whole seconds: some time after the adjacency is full.
fn await_route(machine: &Machine, prefix: &str) {
    let end = Instant::now() + Duration::from_secs(20);
    while !machine.run("ip -6 route").lines().any(|line| line.starts_with(&format!("{prefix} via")))
    {
        assert!(Instant::now() < end, "no route to {prefix} within 20s");
        std::thread::sleep(Duration::from_millis(100));
    }
}
