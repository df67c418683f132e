// SPDX-License-Identifier: Apache-2.0
//! Routers by other hands, a stock BIRD and a stock FRR, each in a network namespace of this host (which needs root) and
//! configured as a person would. BFD is slow there: on a busy desk an emulated node is silent for longer than the 300 ms
//! that a node takes for a broken cable.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use kubermesh_qemu::{Namespace, Port, Process};
use serde_json::Value;

use crate::node::soon;

/// A router on a cable to a node. Dropped, it is gone.
pub struct Router {
    /// They end before their namespace does.
    _daemons: Vec<Process>,
    namespace: Namespace,
}

/// Who a router is in the mesh.
pub struct Who {
    /// Its OSPF router id.
    pub id: &'static str,
    /// Its address on `lo`.
    pub address: &'static str,
}

impl Router {
    /// A BIRD that speaks BFD.
    pub const BIRD_WITH_BFD: Who = Who { id: "10.98.0.1", address: "fd98::b1" };
    /// FRR, with BFD.
    pub const FRR: Who = Who { id: "10.98.0.2", address: "fd98::f2" };
    /// A BIRD without BFD.
    pub const BIRD: Who = Who { id: "10.98.0.3", address: "fd98::b3" };

    /// Starts [`Router::BIRD_WITH_BFD`] at the other end of a cable on this port.
    ///
    /// # Errors
    /// No namespace, or BIRD does not start.
    pub fn bird_with_bfd(port: Port) -> Result<Self> {
        Self::start_bird(port, &Self::BIRD_WITH_BFD, BIRD_WITH_BFD_CONF)
    }

    /// Starts [`Router::BIRD`].
    ///
    /// # Errors
    /// As [`Router::bird_with_bfd`].
    pub fn bird(port: Port) -> Result<Self> {
        Self::start_bird(port, &Self::BIRD, BIRD_CONF)
    }

    fn start_bird(port: Port, who: &Who, text_of_config: &str) -> Result<Self> {
        let namespace = on_cable(port, who.address)?;
        let (config, socket) = (namespace.file("bird.conf"), namespace.file("bird.ctl"));
        fs::write(&config, text_of_config)?;
        let line = ["/usr/sbin/bird", "-f", "-c", text(&config)?, "-s", text(&socket)?];
        let daemons = vec![namespace.start("bird.log", &line)?];
        await_socket(&socket, &daemons[0])?;
        Ok(Self { _daemons: daemons, namespace })
    }

    /// Starts [`Router::FRR`].
    ///
    /// # Errors
    /// As [`Router::bird_with_bfd`].
    pub fn frr(port: Port) -> Result<Self> {
        let namespace = on_cable(port, Self::FRR.address)?;
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
    ///
    /// # Errors
    /// There is none, or it does not.
    pub fn reaches(&self, address: &str) -> Result<bool> {
        let route = self.namespace.run(&["ip", "-6", "route", "show", address])?;
        let way = [" via fe80::", " dev port0 "];
        ensure!(way.iter().all(|part| route.contains(part)), "to {address} leads {route:?}");
        self.namespace.run(&["busybox", "ping6", "-c", "1", "-W", "5", address])?;
        Ok(true)
    }

    /// Router id and state of each neighbour: the lines of the table under its head.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn neighbours_of_bird(&self) -> Result<Vec<(String, String)>> {
        let said = self.birdcl(&["show", "ospf", "neighbors"])?;
        let rows = said.lines().skip_while(|line| !line.starts_with("Router ID")).skip(1);
        let words = rows.map(|line| line.split_whitespace().map(str::to_owned));
        Ok(words.filter_map(|mut words| Some((words.next()?, words.nth(1)?))).collect())
    }

    /// The same of FRR.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn neighbours_of_frr(&self) -> Result<Vec<(String, String)>> {
        let told = self.vtysh("ospf6d", "show ipv6 ospf6 neighbor json")?;
        let rows = told["neighbors"].as_array().with_context(|| told.to_string())?;
        let word = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
        Ok(rows.iter().map(|row| (word(row, "neighborId"), word(row, "state"))).collect())
    }

    /// What BIRD logged of each change of a neighbour: it has no other memory of an adjacency's age.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn adjacency_story(&self) -> Result<Vec<String>> {
        let log = fs::read_to_string(self.namespace.file("bird.log"))?;
        let changes = log.lines().filter(|line| line.contains("Neighbor "));
        Ok(changes.filter(|line| line.contains(" changed state ")).map(str::to_owned).collect())
    }

    /// Asks BIRD.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn birdcl(&self, words: &[&str]) -> Result<String> {
        let socket = self.namespace.file("bird.ctl");
        self.namespace.run(&[&["/usr/sbin/birdcl", "-s", text(&socket)?], words].concat())
    }

    /// Asks a daemon of FRR; its answer is JSON.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn vtysh(&self, daemon: &str, question: &str) -> Result<Value> {
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

const BIRD_WITH_BFD_CONF: &str = r#"log stderr all;
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

const BIRD_CONF: &str = r#"log stderr all;
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
