// SPDX-License-Identifier: Apache-2.0
//! The pods' network, in CNI's words (the specification's "network configuration list").
//!
//! A ptp link for each pod: the node routes, nothing is bridged and nothing translated, since a
//! pod's IPv6 address is known to the whole mesh. Addresses that are taken are noted in `/run`:
//! no pod outlives a boot.

use kubermesh_node::plan::Plan;
use serde_json::json;

/// The text of the list.
pub(crate) fn render(plan: &Plan) -> String {
    let list = json!({
        "cniVersion": "1.0.0",
        "name": "kubermesh",
        "plugins": [{
            "type": "ptp",
            "mtu": plan.mesh.mtu,
            "ipMasq": false,
            "ipam": {
                "type": "host-local",
                "dataDir": "/run/cni/addresses",
                "ranges": [
                    [{ "subnet": plan.pods.v6.to_string() }],
                    [{ "subnet": plan.pods.v4.to_string() }],
                ],
                "routes": [{ "dst": "::/0" }, { "dst": "0.0.0.0/0" }],
            },
        }],
    });
    format!("{list}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::think::network::tests::plan;

    #[test]
    fn a_pod_gets_an_address_of_each_kind_and_a_way_out() {
        let expected: serde_json::Value = serde_json::from_str(
            r#"{"cniVersion":"1.0.0","name":"kubermesh","plugins":[{"type":"ptp","mtu":1500,
            "ipMasq":false,"ipam":{"type":"host-local","dataDir":"/run/cni/addresses","ranges":[
            [{"subnet":"fdaa:0:0:1::/64"}],[{"subnet":"10.244.0.0/24"}]],
            "routes":[{"dst":"::/0"},{"dst":"0.0.0.0/0"}]}}]}"#,
        )
        .unwrap();
        let written: serde_json::Value = serde_json::from_str(&render(&plan(""))).unwrap();
        assert_eq!(written, expected);
    }
}
