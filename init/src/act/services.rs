// SPDX-License-Identifier: Apache-2.0
//! Starts and kills services: their cgroups, their pipes, their channels.

use std::path::{Path, PathBuf};

use kubermesh_node::effect::Launch;
use kubermesh_node::event::Event;
use kubermesh_node::service::spec::Resources;
use kubermesh_sys::descriptor::{AsFd, OwnedFd};
use kubermesh_sys::epoll::Tells;
use kubermesh_sys::spawn::{self, Place, Program, SpawnError};
use kubermesh_sys::{Errno, files, pipe, seqpacket};

use super::ActError;
use crate::events::Events;
use crate::held::{Child, Held, Output, Source};
use crate::kept::{self, Part};

const CGROUPS: &str = "/sys/fs/cgroup";

/// Why a run has no process.
#[derive(Debug, thiserror::Error)]
enum LaunchError {
    #[error("end what is left of its last run")]
    Leftovers(#[source] ActError),
    #[error("make its cgroup {path}")]
    Cgroup { path: PathBuf, source: std::io::Error },
    #[error("open /dev/null")]
    Null(#[source] std::io::Error),
    #[error("make its pipe or channel")]
    Descriptor(#[from] Errno),
    #[error("start it")]
    Spawn(#[from] SpawnError),
}

/// Starts a run. Its process is let go only when it is written down.
pub(super) fn spawn(launch: &Launch, held: &mut Held, events: &mut Events) {
    let (service, instance) = (launch.service.clone(), launch.instance);
    match try_spawn(launch, held) {
        Ok((pid, child)) => {
            events.push(Event::Spawned { service, instance, pid });
            if let Some(gate) = &child.gate {
                spawn::let_go(gate);
            }
            held.children.insert(pid, child);
        }
        Err(refusal) => {
            let cause = std::error::Error::source(&refusal)
                .map(|cause| format!(": {cause}"))
                .unwrap_or_default();
            events.push(Event::SpawnFailed {
                service,
                instance,
                sentence: format!("{refusal}{cause}"),
            });
        }
    }
}

fn try_spawn(launch: &Launch, held: &mut Held) -> Result<(u32, Child), LaunchError> {
    if held.unkilled.contains(&launch.cgroup) {
        kill_group(&launch.cgroup, held).map_err(LaunchError::Leftovers)?;
    }
    let cgroup = Path::new(CGROUPS).join(&launch.cgroup);
    let folder = make_cgroup(&cgroup, launch, held)
        .map_err(|source| LaunchError::Cgroup { path: cgroup.clone(), source })?;
    open_output(launch, held)?;
    let third = open_third(launch, held)?;
    if held.null.is_none() {
        held.null = Some(files::null().map_err(LaunchError::Null)?);
    }
    let environment = environment(launch);
    let procs = cgroup.join("cgroup.procs");
    let place = match &folder {
        Some(folder) => Place::Born(folder.as_fd()),
        None => Place::Moves(procs.to_str().unwrap_or_default()),
    };
    let may_lend = held.may_lend();
    let (output, null) = (held.outputs.get(&launch.service), held.null.as_ref());
    let (Some(output), Some(null)) = (output, null) else { return Err(Errno::BADF.into()) };
    let program = Program {
        command: &launch.command,
        environment: &environment,
        place,
        oom_score: launch.resources.oom_score,
        input: null.as_fd(),
        output: output.writer.as_fd(),
        third: third.as_ref().map(AsFd::as_fd),
    };
    let child = if may_lend {
        let (child, lent) = spawn::spawn_lending(&program)?;
        held.lent.insert(child.pid, lent);
        child
    } else {
        spawn::spawn(&program)?
    };
    let gate = Some(kept::place(&child.gate, held.number(&launch.service), Part::Gate)?);
    let (service, instance) = (launch.service.clone(), launch.instance);
    Ok((child.pid, Child { service, instance, gate }))
}

fn environment(launch: &Launch) -> Vec<String> {
    let mut all = vec![
        "PATH=/usr/sbin:/usr/bin".to_owned(),
        "HOME=/root".to_owned(),
        "NOTIFY_SOCKET=/run/kubermesh/notify".to_owned(),
        format!("KUBERMESH_SERVICE={}", launch.service),
    ];
    if launch.worker {
        all.push("KUBERMESH_CHANNEL=3".to_owned());
    }
    all.extend(launch.environment.iter().map(|(key, value)| format!("{key}={value}")));
    all
}

/// One pipe for all runs of a service: who reads it keeps reading over a restart.
fn open_output(launch: &Launch, held: &mut Held) -> Result<(), Errno> {
    if held.outputs.contains_key(&launch.service) {
        return Ok(());
    }
    let (reader, writer) = pipe::pair()?;
    let number = held.number(&launch.service);
    let reader = kept::place(&reader, number, Part::OutputReader)?;
    let writer = kept::place(&writer, number, Part::OutputWriter)?;
    if held.keeps_output {
        let _ = held.hear(&reader, Source::Output(number), Tells::Once);
    }
    held.outputs.insert(launch.service.clone(), Output { reader, writer });
    Ok(())
}

/// The descriptor 3 of a run: a worker's end of its channel, or the end that takes a newline.
fn open_third(launch: &Launch, held: &mut Held) -> Result<Option<OwnedFd>, Errno> {
    let number = held.number(&launch.service);
    // Those of a run that had no process in the end: dropped later they would close the new ones, which
    // have their numbers.
    held.channels.remove(&launch.service);
    held.newlines.remove(&launch.service);
    if launch.worker {
        let (ours, theirs) = seqpacket::pair()?;
        let ours = kept::place(&ours, number, Part::Third)?;
        held.hear(&ours, Source::Channel(number), Tells::While)?;
        held.channels.insert(launch.service.clone(), ours);
        return Ok(Some(theirs));
    }
    if launch.newline {
        let (reader, writer) = pipe::pair()?;
        let reader = kept::place(&reader, number, Part::Third)?;
        held.hear(&reader, Source::Newline(number), Tells::While)?;
        held.newlines.insert(launch.service.clone(), (launch.instance, reader));
        return Ok(Some(writer));
    }
    Ok(None)
}

/// Makes it. The folder, where a run may be born there ([`Place::Born`]): nobody was killed there by
/// `cgroup.kill` since it was made. One that is empty is made anew.
fn make_cgroup(path: &Path, launch: &Launch, held: &mut Held) -> std::io::Result<Option<OwnedFd>> {
    if held.clean_cgroups.contains(launch.cgroup.as_str())
        && let Ok(folder) = files::folder(path)
    {
        return Ok(Some(folder));
    }
    let mut is_clean = files::make_new_folder(path)?;
    if !is_clean && files::remove_folder(path).is_ok() {
        is_clean = files::make_new_folder(path)?;
    }
    set_limits(path, &launch.resources);
    if !is_clean {
        return Ok(None);
    }
    held.clean_cgroups.insert(launch.cgroup.as_str().into());
    files::folder(path).map(Some)
}

fn set_limits(path: &Path, resources: &Resources) {
    // The controllers are delegated at the start; a kernel without one has no such file, and the
    // service runs without that bound.
    let limit = |file: &str, value: u64| {
        if value > 0 {
            let _ = files::write(&path.join(file), &value.to_string());
        }
    };
    limit("memory.min", resources.memory_min.0);
    limit("memory.max", resources.memory_max.0);
    let _ = files::write(&path.join("memory.swap.max"), "0");
}

/// Kills everything in a cgroup. One that was never made has nobody, and one that is empty is spared:
/// it stays clean for the next run. Where the kill fails, no run begins there before it is done.
pub(super) fn kill_group(cgroup: &str, held: &mut Held) -> Result<(), ActError> {
    let folder = Path::new(CGROUPS).join(cgroup);
    let events = files::read(&folder.join("cgroup.events"));
    held.unkilled.remove(cgroup);
    if events.is_ok_and(|events| events.contains("populated 0")) {
        return Ok(());
    }
    // A kill takes those below too.
    held.clean_cgroups.retain(|clean| !clean.starts_with(cgroup));
    let path = folder.join("cgroup.kill");
    match files::write(&path, "1") {
        Err(refusal) if refusal.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => {
            held.unkilled.insert(cgroup.to_owned());
            Err(ActError::Write { path: path.display().to_string(), source })
        }
        Ok(()) => Ok(()),
    }
}

/// While nobody reads the outputs, each pipe is its own ring: PID 1 hears when more comes and
/// gives up the oldest before it is full.
pub(super) fn keep_output(kept: bool, held: &mut Held) {
    held.keeps_output = kept;
    for (name, output) in &held.outputs {
        // One that is already as wanted says EEXIST or ENOENT.
        if kept {
            let _ = held.hear(&output.reader, Source::Output(held.number(name)), Tells::Once);
        } else {
            let _ = held.epoll.remove(&output.reader);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, VecDeque};

    use super::*;
    use crate::held::tests::held;
    use crate::recorder::tests::recorder;

    /// Which the kernel refuses, whoever asks.
    const IMPOSSIBLE: &str = "system/a\0b";

    fn launch() -> Launch {
        Launch {
            service: "light".parse().unwrap(),
            instance: 2,
            command: vec!["/bin/true".to_owned()],
            environment: BTreeMap::new(),
            cgroup: IMPOSSIBLE.to_owned(),
            resources: Resources::default(),
            worker: true,
            newline: false,
        }
    }

    #[test]
    fn no_run_begins_where_the_run_before_could_not_be_killed() {
        let mut held = held(&["light"]);
        assert!(kill_group(IMPOSSIBLE, &mut held).is_err());
        let mut events = Events::new(recorder(), VecDeque::new(), 0);
        spawn(&launch(), &mut held, &mut events);
        let Some((_, Event::SpawnFailed { sentence, .. }, _)) = events.next() else { panic!() };
        assert!(sentence.starts_with("end what is left of its last run: "), "{sentence}");
    }

    #[test]
    fn a_worker_whose_start_failed_has_an_open_channel_at_its_next() {
        let mut held = held(&["light"]);
        // There was a channel, and then no process to be had.
        open_third(&launch(), &mut held).unwrap();
        let theirs = open_third(&launch(), &mut held).unwrap().unwrap();
        let ours = held.channels.get("light").unwrap();
        seqpacket::send(ours, b"ping", None).unwrap();
        assert_eq!(seqpacket::peek(&theirs, 16).unwrap().unwrap(), b"ping");
    }

    #[test]
    fn a_kill_that_succeeds_later_is_no_longer_owed() {
        let mut held = held(&[]);
        let gone = "kubermesh-test-of-a-cgroup-that-was-never-made";
        held.unkilled.insert(gone.to_owned());
        kill_group(gone, &mut held).unwrap();
        assert!(held.unkilled.is_empty());
    }
}
