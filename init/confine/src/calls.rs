// SPDX-License-Identifier: Apache-2.0
//! Which system calls a service may make: an allow-list for seccomp(2).
//!
//! A call that is not on it fails with EPERM and is told in the kernel's log (`type=1326`): the
//! service goes on with an error that it can name, and whoever reads the log sees what was
//! forbidden. Killing it instead would turn a rare path of a library into a dead worker, again and
//! again. clone3 alone answers ENOSYS, since its flags lie in memory where no filter looks: libc
//! then uses clone.

use std::collections::BTreeMap;

use kubermesh_node::service::privileges::Purpose;
use kubermesh_sys::seccomp::{self, Instruction};
use nix::libc;
use rustix::io::Errno;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

use crate::calls::lists::{Argument, Rule};

mod lists;

/// Why there is no filter.
#[derive(Debug, thiserror::Error)]
pub enum CallsError {
    /// Our own lists make no filter.
    #[error("make the filter of system calls")]
    Compile(#[from] BackendError),
    /// The kernel refused it.
    #[error("install the filter of system calls")]
    Install(#[source] Errno),
}

/// The filters of a service, ready for the kernel.
pub(crate) struct Filters {
    /// clone3 answers as an old kernel's.
    old_kernels: Vec<Instruction>,
    allowed: Vec<Instruction>,
}

impl Filters {
    pub(crate) fn of(purposes: &[Purpose]) -> Result<Self, CallsError> {
        let no_such = errno_of(libc::ENOSYS);
        let one = BTreeMap::from([(libc::SYS_clone3, vec![])]);
        let old_kernels = compile(one, SeccompAction::Allow, no_such)?;
        let mut rules = BTreeMap::new();
        let own_pid = u64::from(std::process::id());
        for list in lists::of(purposes) {
            for rule in list {
                add(&mut rules, rule, own_pid)?;
            }
        }
        let allowed = compile(rules, errno_of(libc::EPERM), SeccompAction::Allow)?;
        Ok(Self { old_kernels, allowed })
    }

    /// The last that the launcher does before it becomes the service. The stricter word of both
    /// counts, and the second one lets no third be installed.
    pub(crate) fn install(&self) -> Result<(), CallsError> {
        seccomp::install(&self.old_kernels, false).map_err(CallsError::Install)?;
        seccomp::install(&self.allowed, true).map_err(CallsError::Install)
    }
}

fn errno_of(number: libc::c_int) -> SeccompAction {
    SeccompAction::Errno(number.unsigned_abs())
}

/// Adds a call. One that is allowed whatever its arguments are stays so.
fn add(
    rules: &mut BTreeMap<i64, Vec<SeccompRule>>,
    rule: &Rule,
    own_pid: u64,
) -> Result<(), BackendError> {
    let conditions = rules.entry(rule.call).or_default();
    let Some(argument) = rule.argument else { return Ok(()) };
    let (number, test, value) = match argument {
        Argument::Is(number, value) => (number, SeccompCmpOp::Eq, value),
        Argument::Masked(number, mask, value) => (number, SeccompCmpOp::MaskedEq(mask), value),
        Argument::IsOwnProcess(number) => (number, SeccompCmpOp::Eq, own_pid),
    };
    let one = SeccompCondition::new(number, SeccompCmpArgLen::Dword, test, value)?;
    conditions.push(SeccompRule::new(vec![one])?);
    Ok(())
}

fn compile(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    others: SeccompAction,
    these: SeccompAction,
) -> Result<Vec<Instruction>, BackendError> {
    let filter = SeccompFilter::new(rules, others, these, TargetArch::x86_64)?;
    let program: BpfProgram = filter.try_into()?;
    let rows = program.into_iter();
    Ok(rows.map(|row| Instruction { code: row.code, jt: row.jt, jf: row.jf, k: row.k }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_makes_a_program_that_the_kernel_can_take() {
        let all = [
            Purpose::Files,
            Purpose::Watching,
            Purpose::Unix,
            Purpose::Internet,
            Purpose::Netlink,
            Purpose::Terminals,
            Purpose::Lights,
            Purpose::Disks,
            Purpose::Mounts,
            Purpose::Programs,
        ];
        let filters = Filters::of(&all).unwrap();
        // BPF_MAXINSNS.
        assert!((100..4096).contains(&filters.allowed.len()), "{}", filters.allowed.len());
    }

    #[test]
    fn a_call_that_is_allowed_whatever_it_asks_for_is_bound_nowhere() {
        let purposes = [Purpose::Files, Purpose::Unix, Purpose::Lights, Purpose::Programs];
        let all = lists::of(&purposes);
        let rules: Vec<&Rule> = all.into_iter().flatten().collect();
        for rule in rules.iter().filter(|rule| rule.argument.is_none()) {
            let is_bound = |other: &&&Rule| other.call == rule.call && other.argument.is_some();
            assert_eq!(rules.iter().find(is_bound).map(|rule| rule.call), None);
        }
    }
}
