// SPDX-License-Identifier: Apache-2.0
//! In the place of `init/src/start`: the house is there already.

pub(crate) mod clock {
    pub(crate) const fn set(_voice: &crate::say::Voice) {}
}

pub(crate) mod house {
    use kubermesh_node::service::Catalog;

    pub(crate) const MODULES: &[&str] = &["tun", "fuse"];

    pub(crate) const fn make() -> Vec<std::fmt::Error> {
        Vec::new()
    }

    pub(crate) const fn protect(_services: &Catalog) -> Vec<std::fmt::Error> {
        Vec::new()
    }
}
