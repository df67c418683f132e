// SPDX-License-Identifier: Apache-2.0
//! Makes a program hang as a lock does: it lives, and no thread of it gets any further.
//!
//! The program is the one that was shipped. All its threads are stopped (ptrace(2)), sent to a few bytes at the
//! start of its code, and let go again: from then on each runs in a circle, or sleeps and wakes for nothing.
//! What is deliberately absent: a way back. Only SIGKILL ends it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use kubermesh_qemu::agent::protocol::Lock;
use nix::errno::Errno;
use nix::libc::c_long;
use nix::sys::ptrace::{self, Options};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// Jams it; how many threads it has.
pub(crate) fn jam(pid: i32, lock: Lock) -> Result<usize> {
    let place = code(pid)?;
    let mut held = Held(BTreeSet::new());
    held.stop_all(pid)?;
    let Some(&first) = held.0.first() else { anyhow::bail!("no thread of {pid} is left") };
    for (offset, word) in (0..).step_by(8).zip(words(lock)) {
        let at = std::ptr::without_provenance_mut(place + offset);
        ptrace::write(first, at, word).context("write into its code")?;
    }
    for &thread in &held.0 {
        let mut registers =
            ptrace::getregs(thread).with_context(|| format!("registers of {thread}"))?;
        registers.rip = u64::try_from(place)?;
        // Of no system call any more: the kernel would begin an interrupted one again, two bytes before (signal(7)).
        registers.orig_rax = u64::MAX;
        ptrace::setregs(thread, registers).with_context(|| format!("registers of {thread}"))?;
    }
    Ok(held.0.len())
}

/// Threads that stand still until this is dropped.
struct Held(BTreeSet<Pid>);

impl Held {
    /// A thread that is not stopped yet may start another: it looks until there is no new one.
    fn stop_all(&mut self, pid: i32) -> Result<()> {
        loop {
            let before = self.0.len();
            for entry in fs::read_dir(format!("/proc/{pid}/task")).context("list its threads")? {
                let name = entry.context("list its threads")?.file_name();
                let number: i32 = name.to_str().context("a thread's number")?.parse()?;
                let thread = Pid::from_raw(number);
                if !self.0.contains(&thread) && stop(thread)? {
                    self.0.insert(thread);
                }
            }
            if self.0.len() == before {
                return Ok(());
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        for &thread in &self.0 {
            // One that was killed meanwhile is nobody's any more.
            let _ = ptrace::detach(thread, None);
        }
    }
}

/// Whether it stands; one that has just ended does not.
fn stop(thread: Pid) -> Result<bool> {
    match ptrace::seize(thread, Options::empty()) {
        Err(Errno::ESRCH) => return Ok(false),
        other => other.with_context(|| format!("seize {thread}"))?,
    }
    ptrace::interrupt(thread).with_context(|| format!("interrupt {thread}"))?;
    let ended =
        waitpid(thread, Some(WaitPidFlag::__WALL)).with_context(|| format!("wait for {thread}"))?;
    Ok(!matches!(ended, WaitStatus::Exited(..) | WaitStatus::Signaled(..)))
}

/// Where the code of its program begins: what every thread may execute, and what none needs any more.
fn code(pid: i32) -> Result<usize> {
    let program: PathBuf = fs::read_link(format!("/proc/{pid}/exe")).context("its program")?;
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).context("its memory")?;
    let path = program.to_str().context("its program's path")?;
    let is_code = |line: &&str| line.contains(" r-xp ") && line.ends_with(path);
    let line = maps.lines().find(is_code).with_context(|| format!("no code of {path}:\n{maps}"))?;
    let (begin, _) = line.split_once('-').context("a mapping without a range")?;
    let place = usize::from_str_radix(begin, 16).context("a mapping's begin")?;
    ensure!(place.is_multiple_of(8), "{place:x} is no place for words");
    Ok(place)
}

/// The bytes, as ptrace(2) writes them.
fn words(lock: Lock) -> Vec<c_long> {
    let code: &[u8] = match lock {
        // jmp self
        Lock::Live => &[0xeb, 0xfe],
        // mov eax, 34; syscall; jmp to the mov: pause(2), again after each signal
        Lock::Dead => &[0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7],
    };
    let word = |piece: &[u8]| {
        let mut bytes = [0x90; 8];
        bytes.iter_mut().zip(piece).for_each(|(to, from)| *to = *from);
        c_long::from_le_bytes(bytes)
    };
    code.chunks(8).map(word).collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use kubermesh_qemu::{Folder, Process};

    use super::*;

    /// The state of a program, field 3 of proc_pid_stat(5), once it is no longer `not`.
    fn state(pid: i32, not: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            let (_, fields) = stat.rsplit_once(") ").unwrap();
            let state = fields[..1].to_owned();
            if state != not || Instant::now() > deadline {
                return state;
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_jammed_program_runs_in_a_circle_or_sleeps_and_hears_no_sigterm() {
        let folder = Folder::new("jam").unwrap();
        for (lock, wanted, wrong) in [(Lock::Live, "R", "S"), (Lock::Dead, "S", "R")] {
            // A grandchild: who waits for a child of ours would be told of the stop in our place (ptrace(2)).
            let shell = "bash -c 'trap \"exit 7\" TERM; echo $$; while :; do sleep 0.1; done'";
            let script = format!("setpriv --pdeathsig KILL {shell} & wait $!; echo ended");
            let parent =
                Process::spawn("parent", &["bash", "-c", &script], &folder.file("log")).unwrap();
            let pid: i32 = loop {
                if let Ok(pid) = parent.last_words().parse() {
                    break pid;
                }
                std::thread::yield_now();
            };

            assert_eq!(jam(pid, lock).unwrap(), 1);
            nix::sys::signal::kill(Pid::from_raw(pid), nix::sys::signal::SIGTERM).unwrap();

            assert!(parent.wait(Duration::from_millis(500)).is_err(), "{lock:?} ended");
            assert_eq!(state(pid, wrong), wanted);
        }
    }
}
