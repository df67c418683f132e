// SPDX-License-Identifier: Apache-2.0
//! Who this pod is, as kubelet says it in the environment (the manifest's `fieldRef`s).

use std::fmt;

/// What the pod knows of itself. A field that kubelet did not give is empty.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) node: String,
    pub(crate) pod: String,
    /// The pod's addresses, the first family first.
    pub(crate) addresses: Vec<String>,
}

impl Identity {
    pub(crate) fn of_environment() -> Self {
        let said = |name| std::env::var(name).unwrap_or_default();
        Self { node: said("NODE_NAME"), pod: said("POD_NAME"), addresses: listed(&said("POD_IPS")) }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} on {} at {}", self.pod, self.node, self.addresses.join(" and "))
    }
}

/// kubelet writes `status.podIPs` with commas between.
fn listed(addresses: &str) -> Vec<String> {
    addresses.split(',').filter(|address| !address.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::listed;

    #[test]
    fn both_families_are_taken_apart_and_nothing_is_no_address() {
        assert_eq!(listed("fd00::2,10.0.0.2"), ["fd00::2", "10.0.0.2"]);
        assert_eq!(listed(""), Vec::<String>::new());
    }
}
