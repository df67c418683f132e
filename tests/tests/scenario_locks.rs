// SPDX-License-Identifier: Apache-2.0
//! Programs that live and do nothing: stopped, running in a circle, asleep for ever. Each is found by
//! asking it, and only it is started again. And one that ends as soon as it is started, until it is mended.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may stop where it stands"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kubermesh_qemu::Recipe;
use kubermesh_qemu::agent::protocol::Lock;
use kubermesh_qemu::blink1::{Blink1, Hue, Kind, Led};
use kubermesh_tests::{Node, Service, soon, test_stick};

/// How a service is made to hang.
#[derive(Clone, Copy, Debug)]
enum Way {
    Stopped,
    Spins,
    Sleeps,
}

use Way::{Sleeps, Spins, Stopped};

/// Each service hangs in each way, and any two are apart in some round: one hangs, the other does not.
/// kubelet and containerd are apart in all: a kubelet without a runtime ends, and would rest longer.
const ROUNDS: [[(&str, Way); 4]; 6] = [
    [("containerd", Spins), ("console", Sleeps), ("net", Stopped), ("log", Spins)],
    [("probe", Stopped), ("bird", Sleeps), ("light", Spins), ("kubelet", Stopped)],
    [("containerd", Sleeps), ("console", Stopped), ("probe", Spins), ("bird", Stopped)],
    [("net", Spins), ("log", Sleeps), ("light", Sleeps), ("kubelet", Spins)],
    [("containerd", Stopped), ("net", Sleeps), ("probe", Sleeps), ("light", Stopped)],
    [("console", Spins), ("log", Stopped), ("bird", Spins), ("kubelet", Sleeps)],
];

#[test]
fn what_hangs_is_found_and_started_again_and_what_always_fails_takes_nothing_with_it() -> Result<()>
{
    let light = Blink1::new(Kind::Mk2, 3)?;
    let machine = Recipe::new("locks").stick(test_stick()?).make()?;
    light.plug(machine.light_socket(0))?;
    machine.power_on()?;
    let node = Node { machine };
    node.wait_pod()?;
    for round in ROUNDS {
        hangs_alone(&node, &round).with_context(|| format!("{round:?}"))?;
    }
    fails_until_it_is_mended(&node, &light)
}

fn hangs_alone(node: &Node, round: &[(&str, Way)]) -> Result<()> {
    let pod = node.beacon_pid()?;
    let (pod_start, before) = (node.start_time(pod)?, node.services()?);
    let told = unhealthy(node)?;
    for (name, way) in round {
        hang(node, before[*name].pid, *way).with_context(|| format!("{name} {way:?}"))?;
    }
    node.wait_until("all of them run again", |node| {
        let now = node.services()?;
        let is_old = |name: &&str| {
            let (old, new) = (&before[*name], &now[*name]);
            new.state != "running" || new.starts == old.starts || new.pid == old.pid
        };
        let left: Vec<_> = round
            .iter()
            .map(|(name, _)| *name)
            .filter(is_old)
            .map(|name| (name, &now[name]))
            .collect();
        ensure!(left.is_empty(), "{left:?}");
        Ok(true)
    })?;
    let is_other = |name: &String| !round.iter().any(|(hung, _)| hung == name);
    let others = |all: &BTreeMap<String, Service>| -> Vec<(String, Service)> {
        all.clone().into_iter().filter(|(name, _)| is_other(name)).collect()
    };
    let (before, after) = (others(&before), others(&node.services()?));
    ensure!(before == after, "others changed: {before:?} became {after:?}");
    ensure!(node.start_time(pod)? == pod_start, "the pod was started anew");
    // It was asked and did not answer: nothing else ended it.
    let now = unhealthy(node)?;
    for (name, _) in round {
        ensure!(now.get(*name) > told.get(*name), "{name} was not said to be unhealthy: {now:?}");
    }
    Ok(())
}

/// How often PID 1 has said of each service that it is unhealthy.
fn unhealthy(node: &Node) -> Result<BTreeMap<String, usize>> {
    let mut counts = BTreeMap::new();
    for line in node.kernel_ring()?.lines() {
        let said = line.split_once(" kubermesh: service ").map_or("", |(_, said)| said);
        if let Some((name, _)) = said.split_once(" is unhealthy: ") {
            *counts.entry(name.to_owned()).or_default() += 1;
        }
    }
    Ok(counts)
}

/// Makes it hang and makes sure that it does: every thread is in the state that belongs to it.
fn hang(node: &Node, pid: u64, way: Way) -> Result<()> {
    let agent = node.machine.agent();
    let (threads, state) = match way {
        Stopped => {
            node.signal("STOP", pid)?;
            (None, 'T')
        }
        Spins => (Some(agent.jam(i32::try_from(pid)?, Lock::Live)?), 'R'),
        Sleeps => (Some(agent.jam(i32::try_from(pid)?, Lock::Dead)?), 'S'),
    };
    let script = format!("cat /proc/{pid}/task/*/stat");
    node.wait_until(&format!("each thread to be {state}"), |node| {
        let said = node.run(&["/usr/bin/busybox", "sh", "-c", &script])?;
        let states: String = said
            .lines()
            .filter_map(|line| line.rsplit_once(") ").and_then(|(_, fields)| fields.chars().next()))
            .collect();
        ensure!(threads.is_none_or(|count| count == states.len()), "{threads:?}, now {states}");
        Ok(states.chars().all(|one| one == state))
    })
}

/// What BIRD may do cannot be read any more: whoever is to confine it ends at once.
fn fails_until_it_is_mended(node: &Node, light: &Blink1) -> Result<()> {
    // What it failed before counts no longer.
    let before = node.service("bird")?;
    node.run(&["/usr/bin/kubermesh", "restart", "bird"])?;
    node.wait_until("bird runs with a clean record", |node| {
        let now = node.service("bird")?;
        Ok(now.state == "running" && now.starts > before.starts && node.faults()?.is_empty())
    })?;
    let (others, ends) = (all_but_bird(node)?, ends_of_bird(node)?.len());
    let (mount, file) =
        (["/usr/bin/busybox", "mount", "-o", "bind"], "/usr/lib/kubermesh/services/bird.toml");
    node.run(&[&mount[..], &["/usr/bin/busybox", file]].concat())?;
    node.signal("KILL", node.service("bird")?.pid)?;

    // It rests for 0, 1, 5 and 30 s.
    node.wait_until("the fourth end", |node| Ok(ends_of_bird(node)?.len() >= ends + 4))?;
    stays_usable(node)?;
    shows_a_fault(light)?;
    node.wait_until("the fifth end", |node| Ok(ends_of_bird(node)?.len() >= ends + 5))?;
    let all = ends_of_bird(node)?;
    let rests: Vec<f64> = all[ends..].windows(2).map(|pair| pair[1] - pair[0]).collect();
    println!("from end to end: {rests:.2?} s");
    // Its own run is in them: on a busy desk that takes a second or two.
    ensure!(rests[1] >= 1.0 && rests[2] >= 5.0 && rests[3] >= 30.0, "it rests {rests:?}");
    ensure!(others == all_but_bird(node)?, "another service changed");

    node.run(&["/usr/bin/busybox", "umount", file])?;
    node.wait_until("bird runs and nothing is wrong", |node| {
        Ok(node.service("bird")?.state == "running" && node.faults()?.is_empty())
    })?;
    shows_no_fault(light)
}

/// When it ended, each time, by the kernel's clock.
fn ends_of_bird(node: &Node) -> Result<Vec<f64>> {
    let ring = node.kernel_ring()?;
    let ends = ring.lines().filter(|line| line.contains("kubermesh: service bird ended: "));
    ends.map(|line| {
        let clock = line.trim_start_matches(['[', ' ']).split_once(']').context(line.to_owned())?;
        Ok(clock.0.parse()?)
    })
    .collect()
}

fn all_but_bird(node: &Node) -> Result<BTreeMap<String, Service>> {
    let mut all = node.services()?;
    all.remove("bird");
    Ok(all)
}

fn stays_usable(node: &Node) -> Result<()> {
    let faults = node.faults()?;
    let is_told = |fault: &String| fault.starts_with("service bird: failed ");
    ensure!(faults.len() == 1 && faults.iter().all(is_told), "faults: {faults:?}");
    let said = node.run(&["/usr/bin/kubermesh", "logs", "bird", "-n", "20"])?;
    ensure!(said.contains("read /usr/lib/kubermesh/services/bird.toml"), "the log of bird: {said}");
    ensure!(node.ask(&["status"])?["pods"]["running"] == 1, "the pod does not run");
    node.pod_answers()
}

/// The second LED is for faults: yellow, with a short gap.
fn shows_a_fault(light: &Blink1) -> Result<()> {
    let (span, period) = (Duration::from_millis(4100), Duration::from_millis(2000));
    let yellow = |seen: &kubermesh_qemu::blink1::Seen| {
        seen.is(Hue::Yellow, |rhythm| rhythm.blinks(1, period))
    };
    light.wait_seen("yellow", Led::Second, span, soon(), yellow).map(drop)
}

/// Without one it shows the phase, as the first: no neighbour.
fn shows_no_fault(light: &Blink1) -> Result<()> {
    let (span, period) = (Duration::from_millis(4100), Duration::from_millis(2000));
    let amber = |seen: &kubermesh_qemu::blink1::Seen| {
        seen.is(Hue::Amber, |rhythm| rhythm.blinks(1, period))
    };
    light.wait_seen("amber", Led::Second, span, soon(), amber).map(drop)
}
