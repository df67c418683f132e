// SPDX-License-Identifier: Apache-2.0
//! Starts and kills services: their cgroups, their pipes, their channels.

use std::path::{Path, PathBuf};

use kubermesh_node::effect::Launch;
use kubermesh_node::event::Event;
use kubermesh_node::service::spec::Resources;
use kubermesh_sys::descriptor::{AsFd, OwnedFd};
use kubermesh_sys::epoll::Tells;
use kubermesh_sys::spawn::{self, Program, SpawnError};
use kubermesh_sys::{Errno, files, pipe, seqpacket};

use super::ActError;
use crate::held::{Child, Held, Output, Source};

const CGROUPS: &str = "/sys/fs/cgroup";

/// Why a run has no process.
#[derive(Debug, thiserror::Error)]
enum LaunchError {
    #[error("make its cgroup {path}")]
    Cgroup { path: PathBuf, source: std::io::Error },
    #[error("open /dev/null")]
    Null(#[source] std::io::Error),
    #[error("make its pipe or channel")]
    Descriptor(#[from] Errno),
    #[error("start it")]
    Spawn(#[from] SpawnError),
}

/// Starts a run.
pub(super) fn spawn(launch: &Launch, held: &mut Held) -> Event {
    let (service, instance) = (launch.service.clone(), launch.instance);
    match try_spawn(launch, held) {
        Ok(pid) => Event::Spawned { service, instance, pid },
        Err(refusal) => {
            let cause = std::error::Error::source(&refusal)
                .map(|cause| format!(": {cause}"))
                .unwrap_or_default();
            Event::SpawnFailed { service, instance, sentence: format!("{refusal}{cause}") }
        }
    }
}

fn try_spawn(launch: &Launch, held: &mut Held) -> Result<u32, LaunchError> {
    let cgroup = Path::new(CGROUPS).join(&launch.cgroup);
    let folder = make_cgroup(&cgroup, &launch.resources)
        .map_err(|source| LaunchError::Cgroup { path: cgroup, source })?;
    open_output(launch, held)?;
    let third = open_third(launch, held)?;
    let null = files::null().map_err(LaunchError::Null)?;
    let environment = environment(launch);
    let Some(output) = held.outputs.get(&launch.service) else { return Err(Errno::BADF.into()) };
    let child = spawn::spawn(&Program {
        command: &launch.command,
        environment: &environment,
        cgroup: Some(folder.as_fd()),
        oom_score: launch.resources.oom_score,
        input: null.as_fd(),
        output: output.writer.as_fd(),
        third: third.as_ref().map(AsFd::as_fd),
    })?;
    let (service, instance, failure) =
        (launch.service.clone(), launch.instance, Some(child.failure));
    held.children.insert(child.pid, Child { service, instance, failure });
    Ok(child.pid)
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
    if held.keeps_output {
        let _ = held.hear(&reader, Source::Output(held.number(&launch.service)), Tells::Once);
    }
    held.outputs.insert(launch.service.clone(), Output { reader, writer });
    Ok(())
}

/// The descriptor 3 of a run: a worker's end of its channel, or the end that takes a newline.
fn open_third(launch: &Launch, held: &mut Held) -> Result<Option<OwnedFd>, Errno> {
    let number = held.number(&launch.service);
    if launch.worker {
        let (ours, theirs) = seqpacket::pair()?;
        held.hear(&ours, Source::Channel(number), Tells::While)?;
        held.channels.insert(launch.service.clone(), ours);
        return Ok(Some(theirs));
    }
    if launch.newline {
        let (reader, writer) = pipe::pair()?;
        held.hear(&reader, Source::Newline(number), Tells::While)?;
        held.newlines.insert(launch.service.clone(), (launch.instance, reader));
        return Ok(Some(writer));
    }
    Ok(None)
}

fn make_cgroup(path: &Path, resources: &Resources) -> std::io::Result<OwnedFd> {
    files::make_folder(path)?;
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
    files::folder(path)
}

/// Kills everything in a cgroup. One that was never made has nobody.
pub(super) fn kill_group(cgroup: &str) -> Result<(), ActError> {
    let path = Path::new(CGROUPS).join(cgroup).join("cgroup.kill");
    match files::write(&path, "1") {
        Err(refusal) if refusal.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(ActError::Write { path: path.display().to_string(), source }),
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
