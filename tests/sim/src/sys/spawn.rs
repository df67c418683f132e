// SPDX-License-Identifier: Apache-2.0
//! fork and exec, each of which may be refused.

use crate::Errno;
use crate::descriptor::{BorrowedFd, OwnedFd};
use crate::kernel::{Thing, call};

#[derive(Debug)]
pub struct Program<'a> {
    pub command: &'a [String],
    pub environment: &'a [String],
    pub place: Place<'a>,
    pub oom_score: i16,
    pub input: BorrowedFd<'a>,
    pub output: BorrowedFd<'a>,
    pub third: Option<BorrowedFd<'a>>,
}

#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    Parents,
    Born(BorrowedFd<'a>),
    Moves(&'a str),
}

#[derive(Debug)]
pub struct Child {
    pub pid: u32,
    pub gate: OwnedFd,
}

#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    #[error("make its gate")]
    Gate(#[source] Errno),
    #[error("fork")]
    Fork(#[source] Errno),
}

#[derive(Debug)]
pub struct Lent(#[expect(dead_code, reason = "closed when it is dropped")] OwnedFd);

pub const NOT_EXECUTED: i32 = 127;

pub fn spawn_lending(program: &Program<'_>) -> Result<(Child, Lent), SpawnError> {
    let lent = call("fcntl", |machine| machine.open(Thing::Lent)).map(OwnedFd);
    let lent = lent.map_err(SpawnError::Gate)?;
    Ok((spawn(program)?, Lent(lent)))
}

pub fn has_own_table(gate: &OwnedFd) -> bool {
    call("recv", |machine| machine.has_own_table(gate.0))
}

pub fn spawn(program: &Program<'_>) -> Result<Child, SpawnError> {
    call("socketpair", |machine| machine.refuses("socketpair", &[Errno::MFILE, Errno::NFILE]))
        .map_err(SpawnError::Gate)?;
    let born = call("fork", |machine| {
        machine.refuses("fork", &[Errno::AGAIN, Errno::NOMEM])?;
        Ok(machine.born(program))
    });
    let (pid, gate) = born.map_err(SpawnError::Fork)?;
    Ok(Child { pid, gate: OwnedFd(gate) })
}

pub fn let_go(gate: &OwnedFd) {
    call("send", |machine| machine.let_go(gate.0));
}

pub fn why_not(gate: &OwnedFd) -> Option<Errno> {
    call("recv", |machine| match machine.thing(gate.0) {
        Ok(Thing::Gate { errno, .. }) => errno.map(Errno::from_raw_os_error),
        _ => None,
    })
}
