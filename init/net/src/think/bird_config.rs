// SPDX-License-Identifier: Apache-2.0
//! BIRD's configuration: OSPFv3 with BFD on each mesh port, for stock BIRD 2.
//!
//! Ports are listed one by one: a pattern would take in the pods' veths. What leaves this node is
//! each /128 on `lo` (its own, the anycast ones) and its pods' /64, and nothing else.

use std::fmt::Write;

use kubermesh_node::plan::Plan;

/// The text of the configuration for these mesh ports.
pub(crate) fn render(plan: &Plan, ports: &[&str]) -> String {
    let (mesh, pods) = (&plan.mesh, &plan.pods);
    let (router_id, address, pods) = (mesh.router_id, mesh.address, pods.v6);
    let hello = whole_seconds(mesh.hello.as_millis());
    let dead = whole_seconds(mesh.dead.as_millis());
    let bfd = mesh.bfd.as_millis();
    let mut detection = String::new();
    let mut adjacencies = String::new();
    for port in ports.iter().filter(|port| is_plain(port)) {
        // Writing to a String cannot fail.
        let _ =
            writeln!(detection, "  interface \"{port}\" {{ interval {bfd} ms; multiplier 3; }};");
        let _ = writeln!(
            adjacencies,
            "    interface \"{port}\" {{ type ptp; hello {hello}; dead {dead}; retransmit 2; bfd on; }};"
        );
    }
    format!(
        r#"# Written by kubermesh net whenever a port comes or goes.
log stderr {{ info, warning, error, fatal, bug, auth }};
router id {router_id};

protocol device {{ }}

# Each /128 on lo is announced: the node's, the anycast ones.
protocol direct {{
  ipv6;
  interface "lo";
}}

# The pods' own routes are longer and win; what is for no pod ends here instead of going round.
protocol static pods {{
  ipv6;
  route {pods} unreachable;
}}

protocol kernel {{
  ipv6 {{
    import none;
    export filter {{
      if source = RTS_STATIC then accept;
      if source !~ [ RTS_OSPF, RTS_OSPF_IA, RTS_OSPF_EXT1, RTS_OSPF_EXT2 ] then reject;
      # Never an anycast address as a source.
      krt_prefsrc = {address};
      accept;
    }};
  }};
  merge paths on;
}}

protocol bfd {{
  accept ipv6 direct;
{detection}}}

protocol ospf v3 mesh {{
  # kubermesh net hears of neighbours by these lines of the log.
  debug {{ events }};
  ipv6 {{
    import all;
    export filter {{
      if source = RTS_DEVICE && net.len = 128 then accept;
      if net = {pods} then accept;
      reject;
    }};
  }};
  area 0 {{
{adjacencies}  }};
}}
"#
    )
}

/// BIRD takes `*` and `?` in a name for a pattern, and a quote for its end. No driver makes such
/// names.
fn is_plain(port: &str) -> bool {
    !port.is_empty() && port.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// OSPF's packets carry whole seconds (RFC 5340 A.3.2); the plan holds nothing else.
const fn whole_seconds(milliseconds: u64) -> u64 {
    milliseconds / 1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::think::network::tests::plan;

    #[test]
    fn each_mesh_port_is_listed_with_the_timers_of_the_plan() {
        let text = render(
            &plan("[mesh]\nhello = \"2s\"\ndead = \"9s\"\nbfd = \"250ms\""),
            &["eth0", "eth1"],
        );
        for line in [
            "router id 10.1.2.3;",
            "  route fdaa:0:0:1::/64 unreachable;",
            "      krt_prefsrc = fd12::7;",
            "  interface \"eth0\" { interval 250 ms; multiplier 3; };",
            "  interface \"eth1\" { interval 250 ms; multiplier 3; };",
            "    interface \"eth0\" { type ptp; hello 2; dead 9; retransmit 2; bfd on; };",
            "    interface \"eth1\" { type ptp; hello 2; dead 9; retransmit 2; bfd on; };",
            "      if net = fdaa:0:0:1::/64 then accept;",
        ] {
            assert!(text.lines().any(|there| there == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn a_name_that_bird_would_take_for_a_pattern_is_left_out() {
        let text = render(&plan(""), &["eth*", "eth0\" {}", "eth0"]);
        assert_eq!(text.matches("interval 100 ms").count(), 1, "{text}");
    }

    #[test]
    fn bird_itself_takes_it_with_ports_and_without() {
        let folder = tempfile::tempdir().unwrap();
        for ports in [&[][..], &["eth0"], &["eth0", "enp1s0.5"]] {
            let file = folder.path().join("bird.conf");
            std::fs::write(&file, render(&plan(""), ports)).unwrap();
            let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
            let mut bird = std::process::Command::new("bird");
            let answer = bird.arg("-p").arg("-c").arg(&file).env("PATH", path).output();
            let answer = answer.expect("needs bird: apt-get install bird2");
            assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
        }
    }
}
