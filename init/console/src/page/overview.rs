// SPDX-License-Identifier: Apache-2.0
//! All of a node on a few lines: what the console shows to who presses a key.

use kubermesh_node::channel::{NetworkReport, Port};
use kubermesh_node::control::{NodeView, ServiceView, ServicesView};
use kubermesh_node::time::Time;

use super::line::{Paint, clean, lasting};
use super::links::neighbour;
use super::status::{faults, headline};

/// The one sentence, ports and neighbours, services, faults; bounded, whatever the node has.
#[must_use]
pub fn overview(node: &NodeView, network: &NetworkReport, services: &ServicesView) -> Vec<String> {
    let mut lines = vec![headline(node, Paint::Plain)];
    let up = lasting(node.now.since(Time::default()));
    let image = clean(&node.version);
    lines.push(format!("  node       {}, image {image}, up {up}", or_none(&node.address)));
    for port in network.ports.iter().take(MOST_PORTS) {
        lines.push(format!("  port       {}", port_line(port, node.now)));
    }
    if network.ports.len() > MOST_PORTS {
        let more = network.ports.len().saturating_sub(MOST_PORTS);
        lines.push(format!("  … and {more} more ports"));
    }
    lines.push(format!("  services   {}", running(&services.services)));
    for service in not_running(&services.services).take(MOST_SERVICES) {
        let since = lasting(node.now.since(service.since));
        let (state, sentence) = (clean(&service.state), clean(&service.sentence));
        let colon = if sentence.is_empty() { "" } else { ": " };
        lines.push(format!("  service    {} {state} for {since}{colon}{sentence}", service.name));
    }
    lines.push(format!("  pods       {} of {} running", node.pods.running, node.pods.wanted));
    lines.extend(faults(&node.status.faults, node.now));
    lines
}

fn port_line(port: &Port, now: Time) -> String {
    let cable = if port.carrier { "cable" } else { "no cable" };
    let speed = port.speed_mbit.map(|speed| format!(" {speed} Mbit/s")).unwrap_or_default();
    format!("{} {cable}{speed}, neighbour {}", clean(&port.name), neighbour(port, now))
}

fn running(services: &[ServiceView]) -> String {
    let missing = not_running(services).count();
    let fine = services.len().saturating_sub(missing);
    format!("{fine} of {} running or done", services.len())
}

fn not_running(services: &[ServiceView]) -> impl Iterator<Item = &ServiceView> {
    services.iter().filter(|service| !matches!(service.state.as_str(), "running" | "done"))
}

fn or_none(address: &str) -> String {
    if address.is_empty() { "without an address yet".to_owned() } else { clean(address) }
}

/// Small machines have two to six; the block must fit on a screen.
const MOST_PORTS: usize = 8;
/// Those that do not run; while booting that may be all.
const MOST_SERVICES: usize = 12;

#[cfg(test)]
mod tests {
    use super::super::{links, services, status};
    use super::*;

    #[test]
    fn a_whole_node_fits_on_a_few_lines() {
        let lines = overview(&status::tests::node(), &links::tests::two(), &services::tests::two());
        assert_eq!(
            lines,
            [
                "km-3fa2  isolated for 2min 5s: no neighbour on eth0",
                "  node       fd12::1, image 0.1.0, up 3min 10s",
                "  port       eth0 cable 2500 Mbit/s, neighbour 10.0.0.2 Full for 3min 9s at fe80::2",
                "  port       eth1 no cable, neighbour none",
                "  services   1 of 2 running or done",
                "  service    kubelet resting for 2min 10s: ended with 1, starts again at 65.000s",
                "  pods       1 of 1 running",
                "  fault      port eth1: half speed (for 1min 30s)",
            ]
        );
    }

    #[test]
    fn however_much_a_node_has_the_block_stays_bounded() {
        let mut network = links::tests::two();
        network.ports = vec![network.ports[0].clone(); 500];
        let mut node = status::tests::node();
        node.status.faults = vec![node.status.faults[0].clone(); 500];
        let mut services = services::tests::two();
        services.services = vec![services.services[1].clone(); 500];
        assert_eq!(overview(&node, &network, &services).len(), 42);
    }
}
