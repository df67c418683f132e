// SPDX-License-Identifier: Apache-2.0
//! How the node is: one phase, a list of faults, and one sentence that says what it waits for.
//!
//! ```text
//! facts of all workers ─► phase (the first that holds) ─┐
//!                        └► faults (shown in each phase) ┴► Status ─► light, console, CLI, kernel log
//! ```
//!
//! This is what leaves PID 1; how it is found from the facts is `node`'s own room.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::Time;

/// Where the node stands. The first that holds, in this order, is the phase:
/// stopping · failed · booting · isolated · meshed · ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// On its way down: services are being stopped in order.
    Stopping,
    /// Everything is stopped and on the disk: stick and power may be pulled.
    Stopped,
    /// Cannot run pods at all, after its tries.
    Failed,
    /// Not all services have come up for the first time.
    Booting,
    /// Services run, no port has a full neighbour.
    Isolated,
    /// At least one neighbour; the pods are not all ready.
    Meshed,
    /// A neighbour, all services healthy, all pods running.
    Ready,
}

/// Something that is wrong and that a person may want to mend. Shown in every phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What is at fault, in the words of the machine: `service kubelet`, `port enp1s0`, `node.toml`.
    pub subject: String,
    /// What is wrong with it, without the subject: `failed 3 times, rests until 12.5s`.
    pub sentence: String,
    /// Since when.
    pub since: Time,
}

/// The whole state of the node in the words that light, console and command line draw on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Where the node stands.
    pub phase: Phase,
    /// The one sentence: what it waits for, since when and until when; or what it has.
    pub sentence: String,
    /// What is wrong, oldest first.
    pub faults: Vec<Fault>,
    /// When phase last changed.
    pub since: Time,
}

impl Status {
    /// The status of a node of which nothing is known yet.
    #[must_use]
    pub fn at_start() -> Self {
        Self {
            phase: Phase::Booting,
            sentence: "mounting the file systems".to_owned(),
            faults: Vec::new(),
            since: Time::default(),
        }
    }

    /// The one word for it: the phase, or `degraded` for a ready node with faults.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match (self.phase, self.faults.is_empty()) {
            (Phase::Ready, true) => "ready",
            (Phase::Ready, false) => "degraded",
            (Phase::Stopping | Phase::Stopped, _) => "stopping",
            (Phase::Failed, _) => "failed",
            (Phase::Booting, _) => "booting",
            (Phase::Isolated, _) => "isolated",
            (Phase::Meshed, _) => "meshed",
        }
    }
}

impl fmt::Display for Status {
    /// `status=isolated no neighbour on enp1s0`: the line of the kernel log after `kubermesh: `.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "status={} {}", self.word(), self.sentence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ready_node_with_a_fault_is_degraded_and_no_other_phase_is() {
        let fault = Fault {
            subject: "port eth0".into(),
            sentence: "half speed".into(),
            since: Time::default(),
        };
        let mut status = Status { phase: Phase::Ready, ..Status::at_start() };
        assert_eq!(status.word(), "ready");
        status.faults.push(fault);
        assert_eq!(status.word(), "degraded");
        status.phase = Phase::Isolated;
        assert_eq!(status.word(), "isolated");
    }
}
