// SPDX-License-Identifier: Apache-2.0
//! A node between routers by other hands: a stock BIRD and a stock FRR, configured as a person would.
//!
//! ```text
//!  BIRD, fd98::b1 ── port0 ─ cable ─ port 0 ── node ── port 1 ─ cable ─ port0 ── FRR, fd98::f2
//!                                               └───── port 2 ─ cable ─ port0 ── BIRD without BFD, fd98::b3
//! ```
//! The routers run in network namespaces of this host, which need root. BFD is slow there: on a busy desk an
//! emulated node is silent for longer than the 300 ms that a node takes for a broken cable.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may stop where it stands"
)]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use kubermesh_qemu::{Namespace, Nic, Port, Process, Recipe};
use kubermesh_tests::{Node, soon, test_stick};
use serde_json::Value;

#[test]
fn a_stock_bird_and_a_stock_frr_are_full_neighbours_of_a_node() -> Result<()> {
    // Of one kind, so that the kernel numbers them in the order of their slots.
    let cards = [Nic::Virtio; 3];
    let machine = Recipe::new("foreign").stick(test_stick()?).nics(&cards);
    let node = Node { machine: machine.make()? };
    let bird = Router::bird(node.machine.port(0)?, BIRD_ADDRESS, BIRD_CONF)?;
    let frr = Router::frr(node.machine.port(1)?)?;
    let plain = Router::bird(node.machine.port(2)?, PLAIN_ADDRESS, PLAIN_CONF)?;
    node.machine.power_on()?;
    println!("ready: {}", node.wait_status("ready")?);
    node.machine.agent().wait(soon())?;

    all_are_full(&node, &bird, &frr)?;
    bfd_is_up(&node, &bird, &frr)?;
    node.wait_until("the node as a full neighbour of a BIRD without BFD", |_| {
        let said = plain.neighbours_of_bird()?;
        ensure!(said.len() == 1 && said[0].1 == "Full/PtP", "it has {said:?}");
        Ok(true)
    })?;
    let address = node.ask(&["status"])?["address"].as_str().context("no address")?.to_owned();
    for router in [&bird, &frr, &plain] {
        node.wait_until("a route to the node and its answer", |_| router.reaches(&address))?;
    }
    node.wait_until("answers of the routers", |node| {
        [BIRD_ADDRESS, FRR_ADDRESS].iter().try_for_each(|there| ping(node, there)).map(|()| true)
    })?;
    node.wait_until("FRR's answer to BIRD, through the node", |_| bird.reaches(FRR_ADDRESS))?;
    another_port_leaves_the_adjacency_alone(&node, &bird, &frr)
}

/// OSPF's `Full` as each of the three tells it, and of whom.
fn all_are_full(node: &Node, bird: &Router, frr: &Router) -> Result<()> {
    node.wait_until("all three routers as full neighbours of the node", |node| {
        let seen = full_neighbours(node)?;
        let ids: Vec<&str> = seen.iter().map(|(id, _)| id.as_str()).collect();
        ensure!(ids == [BIRD_ID, FRR_ID, PLAIN_ID], "full are {ids:?}");
        Ok(true)
    })?;
    node.wait_until("the node as a full neighbour of BIRD and FRR", |_| {
        let (said, told) = (bird.neighbours_of_bird()?, frr.neighbours_of_frr()?);
        ensure!(said.len() == 1 && told.len() == 1, "BIRD has {said:?}, FRR has {told:?}");
        let ((node_id, state), (same_id, same_state)) = (&said[0], &told[0]);
        ensure!(state == "Full/PtP", "BIRD says {state}");
        ensure!(same_state == "Full", "FRR says {same_state}");
        ensure!(node_id == same_id, "the node is {node_id} for BIRD and {same_id} for FRR");
        Ok(true)
    })
}

fn bfd_is_up(node: &Node, bird: &Router, frr: &Router) -> Result<()> {
    node.wait_until("BFD with both routers", |_| {
        let said = bird.birdcl(&["show", "bfd", "sessions"])?;
        ensure!(said.lines().any(|line| line.contains(" port0 ") && line.contains(" Up ")), said);
        let told = frr.vtysh("bfdd", "show bfd peers json")?;
        ensure!(told[0]["status"] == "up", "{told}");
        Ok(true)
    })
}

/// Each change of a port writes BIRD's configuration on the node anew.
fn another_port_leaves_the_adjacency_alone(node: &Node, bird: &Router, frr: &Router) -> Result<()> {
    let config = || node.machine.agent().read_text("/run/bird/bird.conf");
    let since = || -> Result<Value> {
        let neighbours = full_neighbours(node)?;
        let to_bird = neighbours.into_iter().find(|(id, _)| id == BIRD_ID);
        Ok(to_bird.context("BIRD is no full neighbour")?.1)
    };
    let (began, story) = (since()?, bird.adjacency_story()?);
    ensure!(config()?.contains("\"eth1\""), "the second port is not in {}", config()?);

    node.machine.unplug_nic(1, soon())?;
    node.wait_until("a configuration without the second port", |_| {
        Ok(!config()?.contains("\"eth1\""))
    })?;
    node.machine.plug_nic(1)?;
    node.wait_until("a configuration with both ports", |_| Ok(config()?.contains("\"eth1\"")))?;
    all_are_full(node, bird, frr)?;

    let (age, told) = (since()?, bird.adjacency_story()?);
    ensure!(age == began, "the node's adjacency with BIRD is of {age}, was of {began}");
    ensure!(told == story, "BIRD's adjacency with the node changed:\n{}", told.join("\n"));
    ensure!(told.iter().filter(|line| line.ends_with(" to Full")).count() == 1, told.join("\n"));
    Ok(())
}

/// The router id of each full neighbour and since when it is, in the order of the ids.
fn full_neighbours(node: &Node) -> Result<Vec<(String, Value)>> {
    let answer = node.ask(&["links"])?;
    let ports = answer["ports"].as_array().with_context(|| format!("no ports: {answer}"))?;
    let full = ports.iter().map(|port| &port["neighbour"]).filter(|there| there["is_full"] == true);
    let mut full: Vec<(String, Value)> = full
        .map(|there| {
            (there["router_id"].as_str().unwrap_or_default().to_owned(), there["since"].clone())
        })
        .collect();
    full.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(full)
}

fn ping(node: &Node, address: &str) -> Result<()> {
    node.run(&["/usr/bin/busybox", "ping6", "-c", "1", "-W", "5", address]).map(drop)
}

/// A router in a namespace, on a cable to the node.
struct Router {
    /// They end before their namespace does.
    _daemons: Vec<Process>,
    namespace: Namespace,
}

impl Router {
    fn bird(port: Port, address: &str, text_of_config: &str) -> Result<Self> {
        let namespace = on_cable(port, address)?;
        let (config, socket) = (namespace.file("bird.conf"), namespace.file("bird.ctl"));
        fs::write(&config, text_of_config)?;
        let line = ["/usr/sbin/bird", "-f", "-c", text(&config)?, "-s", text(&socket)?];
        let daemons = vec![namespace.start("bird.log", &line)?];
        await_socket(&socket, &daemons[0])?;
        Ok(Self { _daemons: daemons, namespace })
    }

    fn frr(port: Port) -> Result<Self> {
        let namespace = on_cable(port, FRR_ADDRESS)?;
        let mut daemons = Vec::new();
        for (name, config) in [("zebra", ""), ("bfdd", BFDD_CONF), ("ospf6d", OSPF6D_CONF)] {
            fs::write(namespace.file(&format!("{name}.conf")), config)?;
            let daemon = start_frr(&namespace, name)?;
            await_socket(&namespace.file(&format!("{name}.vty")), &daemon)?;
            daemons.push(daemon);
        }
        Ok(Self { _daemons: daemons, namespace })
    }

    /// Whether its kernel has a route to this address over the cable, and the address answers.
    fn reaches(&self, address: &str) -> Result<bool> {
        let route = self.namespace.run(&["ip", "-6", "route", "show", address])?;
        let way = [" via fe80::", " dev port0 "];
        ensure!(way.iter().all(|part| route.contains(part)), "to {address} leads {route:?}");
        self.namespace.run(&["busybox", "ping6", "-c", "1", "-W", "5", address])?;
        Ok(true)
    }

    /// Router id and state of each neighbour: the lines of the table under its head.
    fn neighbours_of_bird(&self) -> Result<Vec<(String, String)>> {
        let said = self.birdcl(&["show", "ospf", "neighbors"])?;
        let rows = said.lines().skip_while(|line| !line.starts_with("Router ID")).skip(1);
        let words = rows.map(|line| line.split_whitespace().map(str::to_owned));
        Ok(words.filter_map(|mut words| Some((words.next()?, words.nth(1)?))).collect())
    }

    fn neighbours_of_frr(&self) -> Result<Vec<(String, String)>> {
        let told = self.vtysh("ospf6d", "show ipv6 ospf6 neighbor json")?;
        let rows = told["neighbors"].as_array().with_context(|| told.to_string())?;
        let word = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
        Ok(rows.iter().map(|row| (word(row, "neighborId"), word(row, "state"))).collect())
    }

    /// What BIRD logged of each change of a neighbour: it has no other memory of an adjacency's age.
    fn adjacency_story(&self) -> Result<Vec<String>> {
        let log = fs::read_to_string(self.namespace.file("bird.log"))?;
        let changes = log.lines().filter(|line| line.contains("Neighbor "));
        Ok(changes.filter(|line| line.contains(" changed state ")).map(str::to_owned).collect())
    }

    fn birdcl(&self, words: &[&str]) -> Result<String> {
        let socket = self.namespace.file("bird.ctl");
        self.namespace.run(&[&["/usr/sbin/birdcl", "-s", text(&socket)?], words].concat())
    }

    fn vtysh(&self, daemon: &str, question: &str) -> Result<Value> {
        let folder = self.namespace.file("");
        let line = ["/usr/bin/vtysh", "--vty_socket", text(&folder)?, "-d", daemon, "-c", question];
        let answer = self.namespace.run(&line)?;
        serde_json::from_str(&answer).with_context(|| format!("{question}: {answer}"))
    }
}

/// A namespace with this address on `lo` and one cable, `port0`.
fn on_cable(port: Port, address: &str) -> Result<Namespace> {
    let mut namespace = Namespace::new()?;
    namespace.run(&["ip", "addr", "add", &format!("{address}/128"), "dev", "lo"])?;
    let interface = namespace.plug(port)?;
    ensure!(interface == "port0", "the cable is {interface}");
    Ok(namespace)
}

/// Its sockets lie in the namespace's folder, which it takes for /run/frr: ip-netns(8) gives it mounts of its own.
/// It runs as root of the group frrvty, since it must be of that group; and a process that changes its group loses
/// the signal that ends it with us (prctl(2), PR_SET_PDEATHSIG), so setpriv renews that.
fn start_frr(namespace: &Namespace, name: &str) -> Result<Process> {
    let prepare = "mkdir -p /run/frr && mount --bind \"$0\" /run/frr && exec \"$@\"";
    let setpriv = "setpriv --regid frrvty --clear-groups --pdeathsig KILL --";
    let as_whom = "-u root -g frrvty -P 0 --log stdout --log-level informational -f";
    let program = format!("/usr/lib/frr/{name}");
    let (folder, config) = (namespace.file(""), namespace.file(&format!("{name}.conf")));
    let mut line = vec!["sh", "-c", prepare, text(&folder)?];
    line.extend(setpriv.split(' ').chain([program.as_str()]).chain(as_whom.split(' ')));
    line.push(text(&config)?);
    namespace.start(&format!("{name}.log"), &line)
}

fn await_socket(socket: &Path, daemon: &Process) -> Result<()> {
    let deadline = Instant::now() + soon();
    while !socket.exists() {
        if daemon.ended().is_some() || Instant::now() > deadline {
            bail!("there is no {}: {}", socket.display(), daemon.last_words());
        }
        // A daemon tells nobody when it listens.
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}

const BIRD_ID: &str = "10.98.0.1";
const BIRD_ADDRESS: &str = "fd98::b1";
const FRR_ID: &str = "10.98.0.2";
const FRR_ADDRESS: &str = "fd98::f2";
const PLAIN_ID: &str = "10.98.0.3";
const PLAIN_ADDRESS: &str = "fd98::b3";

const BIRD_CONF: &str = r#"log stderr all;
router id 10.98.0.1;
protocol device { }
protocol direct { ipv6; interface "lo"; }
protocol kernel { ipv6 { import none; export where source != RTS_DEVICE; }; }
protocol bfd { interface "port0" { interval 1 s; multiplier 5; }; }
protocol ospf v3 mesh {
  debug { events };
  ipv6 { import all; export where source = RTS_DEVICE; };
  area 0 { interface "port0" { type ptp; hello 1; dead 4; retransmit 2; bfd on; }; };
}
"#;

const PLAIN_CONF: &str = r#"log stderr all;
router id 10.98.0.3;
protocol device { }
protocol direct { ipv6; interface "lo"; }
protocol kernel { ipv6 { import none; export where source != RTS_DEVICE; }; }
protocol ospf v3 mesh {
  ipv6 { import all; export where source = RTS_DEVICE; };
  area 0 { interface "port0" { type ptp; hello 1; dead 4; }; };
}
"#;

const OSPF6D_CONF: &str = "\
interface port0
 ipv6 ospf6 area 0
 ipv6 ospf6 network point-to-point
 ipv6 ospf6 hello-interval 1
 ipv6 ospf6 dead-interval 4
 ipv6 ospf6 bfd profile slow
interface lo
 ipv6 ospf6 area 0
 ipv6 ospf6 passive
router ospf6
 ospf6 router-id 10.98.0.2
";

const BFDD_CONF: &str = "\
bfd
 profile slow
  detect-multiplier 5
  receive-interval 1000
  transmit-interval 1000
";
