// SPDX-License-Identifier: Apache-2.0
//! A node between routers by other hands: a stock BIRD and a stock FRR, configured as a person would.
//!
//! ```text
//!  BIRD, fd98::b1 ── port0 ─ cable ─ port 0 ── node ── port 1 ─ cable ─ port0 ── FRR, fd98::f2
//!                                               └───── port 2 ─ cable ─ port0 ── BIRD without BFD, fd98::b3
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may stop where it stands"
)]

use anyhow::{Context, Result, ensure};
use kubermesh_qemu::{Nic, Recipe};
use kubermesh_tests::{Node, Router, soon, test_stick};
use serde_json::Value;

#[test]
fn a_stock_bird_and_a_stock_frr_are_full_neighbours_of_a_node() -> Result<()> {
    // Of one kind, so that the kernel numbers them in the order of their slots.
    let cards = [Nic::Virtio; 3];
    let machine = Recipe::new("foreign").stick(test_stick()?).nics(&cards);
    let node = Node { machine: machine.make()? };
    let bird = Router::bird_with_bfd(node.machine.port(0)?)?;
    let frr = Router::frr(node.machine.port(1)?)?;
    let plain = Router::bird(node.machine.port(2)?)?;
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
        [Router::BIRD_WITH_BFD.address, Router::FRR.address]
            .iter()
            .try_for_each(|there| ping(node, there))
            .map(|()| true)
    })?;
    node.wait_until("FRR's answer to BIRD, through the node", |_| {
        bird.reaches(Router::FRR.address)
    })?;
    another_port_leaves_the_adjacency_alone(&node, &bird, &frr)
}

/// OSPF's `Full` as each of the three tells it, and of whom.
fn all_are_full(node: &Node, bird: &Router, frr: &Router) -> Result<()> {
    node.wait_until("all three routers as full neighbours of the node", |node| {
        let seen = full_neighbours(node)?;
        let ids: Vec<&str> = seen.iter().map(|(id, _)| id.as_str()).collect();
        ensure!(
            ids == [Router::BIRD_WITH_BFD.id, Router::FRR.id, Router::BIRD.id],
            "full are {ids:?}"
        );
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
        let to_bird = neighbours.into_iter().find(|(id, _)| id == Router::BIRD_WITH_BFD.id);
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
