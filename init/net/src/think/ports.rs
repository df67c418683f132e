// SPDX-License-Identifier: Apache-2.0
//! What each link shall be, against what it is: the difference is what to do.

use std::collections::BTreeSet;

use kubermesh_node::channel::PortRole;
use kubermesh_node::plan::Plan;

use super::effect::Effect;
use super::link::{Link, LinkIndex, LinkKind};

/// What to do about a link that is not yet as it shall be; nothing for one that is.
///
/// `prepared` says whose settings are made: the kernel does not tell of a changed sysctl, so they
/// are made once, before the link comes up for the first time.
pub(crate) fn wish(plan: &Plan, link: &Link, prepared: &mut BTreeSet<LinkIndex>) -> Vec<Effect> {
    let mut effects = Vec::new();
    let index = link.index;
    if let LinkKind::Port { place } = &link.kind {
        let role = plan.role(&link.name, place);
        if role == PortRole::Off {
            return effects;
        }
        if prepared.insert(index) {
            effects.extend(settings(role).iter().map(|&(key, value)| Effect::Set {
                link: index,
                port: link.name.clone(),
                key,
                value,
            }));
        }
        if !link.altnames.contains(place) {
            effects.push(Effect::Name { link: index, altname: place.clone() });
        }
        if role == PortRole::Mesh && link.mtu != plan.mesh.mtu {
            effects.push(Effect::Resize { link: index, mtu: plan.mesh.mtu });
        }
    }
    if !link.up {
        effects.push(Effect::Raise { link: index });
    }
    effects
}

/// A port's sysctls under `net.ipv6.conf`, in this order: `addr_gen_mode` must be there before
/// the link comes up and gets its link-local address.
const fn settings(role: PortRole) -> &'static [(&'static str, &'static str)] {
    match role {
        PortRole::Mesh => &[
            ("disable_ipv6", "0"),
            // EUI-64: the same address as long as the card is the same, so that a neighbour's
            // sessions survive a restart; privacy has no meaning on a cable between two machines.
            ("addr_gen_mode", "0"),
            // A mesh port's neighbour is a router, never one to take a prefix or a way out from.
            ("accept_ra", "0"),
            ("accept_redirects", "0"),
            ("forwarding", "1"),
        ],
        PortRole::Uplink => &[
            ("disable_ipv6", "0"),
            ("addr_gen_mode", "0"),
            // 2: also while forwarding (ip-sysctl).
            ("accept_ra", "2"),
            ("forwarding", "1"),
        ],
        PortRole::Off => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::think::network::tests::{plan, port};

    fn said(plan: &Plan, link: &Link) -> Vec<String> {
        wish(plan, link, &mut BTreeSet::new()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_new_mesh_port_is_set_up_before_it_comes_up() {
        let link = Link { up: false, mtu: 9000, altnames: vec![], ..port(2, "eth0") };
        assert_eq!(
            said(&plan(""), &link),
            [
                "set net.ipv6.conf.eth0.disable_ipv6 to 0",
                "set net.ipv6.conf.eth0.addr_gen_mode to 0",
                "set net.ipv6.conf.eth0.accept_ra to 0",
                "set net.ipv6.conf.eth0.accept_redirects to 0",
                "set net.ipv6.conf.eth0.forwarding to 1",
                "name it pci-0000:02:00.0",
                "set the MTU to 1500 bytes",
                "bring it up",
            ]
        );
    }

    #[test]
    fn an_uplink_takes_router_advertisements_and_keeps_its_mtu() {
        let link = Link { up: false, mtu: 9000, ..port(2, "eth0") };
        let said = said(&plan("[ports]\neth0 = \"uplink\""), &link);
        assert!(said.contains(&"set net.ipv6.conf.eth0.accept_ra to 2".to_owned()), "{said:?}");
        assert!(!said.iter().any(|effect| effect.contains("MTU")), "{said:?}");
    }

    #[test]
    fn a_port_that_is_off_is_left_alone_by_name_and_by_place() {
        let link = Link { up: false, mtu: 9000, altnames: vec![], ..port(2, "eth0") };
        assert!(said(&plan("[ports]\neth0 = \"off\""), &link).is_empty());
        assert!(said(&plan("[ports]\n\"pci-0000:02:00.0\" = \"off\""), &link).is_empty());
    }

    #[test]
    fn a_port_that_is_as_it_shall_be_needs_nothing() {
        let mut prepared = BTreeSet::from([LinkIndex::new(2)]);
        assert_eq!(wish(&plan(""), &port(2, "eth0"), &mut prepared), []);
    }
}
