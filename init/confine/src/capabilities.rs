// SPDX-License-Identifier: Apache-2.0
//! Which of root's powers are left, capabilities(7).
//!
//! The bounding set is what counts: a program that root executes gets all that is in it. With
//! no_new_privs nothing brings back what is gone, no file's capabilities and no setuid bit.

use kubermesh_node::service::privileges::CAPABILITIES;
use rustix::io::Errno;
use rustix::thread::{CapabilitySet, CapabilitySets};

/// Why they could not be taken away.
#[derive(Debug, thiserror::Error)]
#[error("{attempt}")]
pub struct CapabilitiesError {
    attempt: &'static str,
    source: Errno,
}

/// Keeps these and no others, for good.
pub(crate) fn keep_only(names: &[String]) -> Result<(), CapabilitiesError> {
    let step = |attempt| move |source| CapabilitiesError { attempt, source };
    let kept = of(names);
    // Beyond the last one that the kernel has it says EINVAL.
    for number in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1_u64.checked_shl(number).unwrap_or(0));
        if kept.contains(one) {
            continue;
        }
        match rustix::thread::remove_capability_from_bounding_set(one) {
            Ok(()) => {}
            Err(Errno::INVAL) => break,
            Err(refusal) => return Err(step("bound its capabilities")(refusal)),
        }
    }
    rustix::thread::set_no_new_privs(true).map_err(step("set no_new_privs"))?;
    let sets =
        CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets).map_err(step("set its capabilities"))
}

fn of(names: &[String]) -> CapabilitySet {
    let is_named = |name: &&str| names.iter().any(|given| given == name);
    let numbers = (0_u32..).zip(CAPABILITIES).filter(|(_, name)| is_named(name));
    let bits = numbers.fold(0, |bits, (number, _)| bits | 1_u64.checked_shl(number).unwrap_or(0));
    CapabilitySet::from_bits_retain(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_capability_that_the_kernel_means_by_it() {
        for (name, number) in [
            ("CHOWN", 0),
            ("NET_ADMIN", 12),
            ("SYS_ADMIN", 21),
            ("SYSLOG", 34),
            ("CHECKPOINT_RESTORE", 40),
        ] {
            assert_eq!(of(&[name.to_owned()]).bits(), 1 << number, "{name}");
        }
    }
}
