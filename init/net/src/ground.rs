// SPDX-License-Identifier: Apache-2.0
//! Where this worker finds and leaves things.

use std::path::PathBuf;

/// The paths of a node; a test has its own.
#[derive(Clone, Debug)]
pub struct Ground {
    /// The plan that PID 1 wrote.
    pub plan: PathBuf,
    /// `bird.conf` is written here; BIRD makes `bird.ctl` beside it.
    pub bird: PathBuf,
    /// `net.d` with the pods' network is made here.
    pub cni: PathBuf,
    /// sysfs.
    pub sys: PathBuf,
    /// Links that count as Ethernet ports although no device is behind them: a test's veths.
    pub also_ports: Vec<String>,
}

impl Default for Ground {
    fn default() -> Self {
        Self {
            plan: PathBuf::from(kubermesh_node::plan::FILE),
            bird: PathBuf::from("/run/bird"),
            cni: PathBuf::from("/etc/cni"),
            sys: PathBuf::from("/sys"),
            also_ports: Vec::new(),
        }
    }
}
