// SPDX-License-Identifier: Apache-2.0
//! What this node shall be: identity and configuration, thought through once for a boot.
//!
//! PID 1 writes it to [`FILE`]; workers read it when they start. Plain values only, so that a
//! person can read it too.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use crate::channel::PortRole;
use crate::config::{Config, DEFAULT_PREFIX};
use crate::identity::Identity;
use crate::time::Span;

/// Where workers find the plan, as JSON.
pub const FILE: &str = "/run/kubermesh/plan.json";

/// What this node shall be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Who it is.
    pub identity: Identity,
    /// What it is called.
    pub hostname: String,
    /// Its place in the mesh.
    pub mesh: MeshPlan,
    /// Its pods' network.
    pub pods: PodNetwork,
    /// Ports that are not for the mesh, by kernel name or place.
    pub ports: BTreeMap<String, PortRole>,
}

/// A node's place in the mesh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeshPlan {
    /// The nodes' /64.
    pub prefix: Ipv6Net,
    /// This node's /128, on `lo`.
    pub address: Ipv6Addr,
    /// Its OSPF router id.
    pub router_id: Ipv4Addr,
    /// OSPF hello interval, whole seconds.
    pub hello: Span,
    /// OSPF dead interval, whole seconds.
    pub dead: Span,
    /// BFD's transmit and receive interval; three lost ones are a loss.
    pub bfd: Span,
    /// The MTU of mesh ports in bytes: what each Ethernet port can, so that nothing is lost
    /// between machines of different makes.
    pub mtu: u32,
}

/// The networks of a node's pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodNetwork {
    /// Announced to the mesh.
    pub v6: Ipv6Net,
    /// Local to the node until a cluster assigns one.
    pub v4: Ipv4Net,
}

impl Plan {
    /// Thinks it through.
    #[must_use]
    pub fn new(identity: Identity, config: &Config) -> Self {
        let prefix = config.mesh.prefix.unwrap_or(DEFAULT_PREFIX);
        Self {
            identity,
            hostname: config.node.hostname.clone().unwrap_or_else(|| identity.hostname()),
            mesh: MeshPlan {
                prefix,
                address: identity.address(prefix),
                router_id: identity.router_id(),
                hello: config.mesh.hello,
                dead: config.mesh.dead,
                bfd: config.mesh.bfd,
                mtu: 1500,
            },
            pods: PodNetwork { v6: identity.pod_prefix(prefix), v4: POD_NETWORK_V4 },
            ports: config.ports.clone(),
        }
    }

    /// What a port is for: node.toml's word for its name or its place, else the mesh.
    #[must_use]
    pub fn role(&self, name: &str, place: &str) -> PortRole {
        let said = self.ports.get(name).or_else(|| self.ports.get(place));
        said.copied().unwrap_or_default()
    }
}

/// The same on each node, since it does not leave the node: 10.244/16 is what Kubernetes'
/// documentation uses for pods, so nothing else is expected there.
const POD_NETWORK_V4: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 244, 0, 0), 24);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_a_mesh_port_unless_its_name_or_place_says_otherwise() {
        let config = Config::parse(
            "node.toml",
            "[ports]\neth1 = \"uplink\"\n\"pci-0000:02:00.0\" = \"off\"",
        )
        .unwrap();
        let plan = Plan::new(Identity::from_bits(7), &config);
        assert_eq!(plan.role("eth0", "pci-0000:00:03.0"), PortRole::Mesh);
        assert_eq!(plan.role("eth1", "pci-0000:01:00.0"), PortRole::Uplink);
        assert_eq!(plan.role("eth2", "pci-0000:02:00.0"), PortRole::Off);
    }

    #[test]
    fn a_mesh_without_a_prefix_of_its_own_uses_the_documented_one() {
        let plan = Plan::new(Identity::from_bits(7), &Config::default());
        assert_eq!(plan.mesh.prefix.to_string(), "fd6b:6d65:7368::/64");
        assert_eq!(plan.pods.v4.to_string(), "10.244.0.0/24");
    }
}
