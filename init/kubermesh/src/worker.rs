// SPDX-License-Identifier: Apache-2.0
//! The workers, by their names: a row each. PID 1 starts them; see their service files.

use std::error::Error;
use std::process::ExitCode;

use kubermesh_node::time::Span;

use crate::ending::{Ending, tell};

/// Runs the worker that the first argument names; none where it names none.
pub(crate) fn run_if_named() -> Option<ExitCode> {
    let name = std::env::args().nth(1)?;
    // `light` is a question of a person too; PID 1 gives each worker a channel.
    if name == "light" && std::env::var_os("KUBERMESH_CHANNEL").is_none() {
        return None;
    }
    let outcome = run(&name)?;
    Some(outcome.map_or_else(
        |refusal| {
            tell(refusal.as_ref());
            Ending::No.into()
        },
        |()| Ending::Done.into(),
    ))
}

fn run(name: &str) -> Option<Result<(), Box<dyn Error>>> {
    Some(match name {
        "confine" => kubermesh_confine::run().map(|never| match never {}).map_err(Into::into),
        "console" => kubermesh_console::run().map_err(Into::into),
        "light" => kubermesh_light::run().map_err(Into::into),
        "log" => kubermesh_log::run().map_err(Into::into),
        "net" => kubermesh_net::run().map_err(Into::into),
        "probe" => kubermesh_probe::run().map_err(Into::into),
        "stop-pods" => kubermesh_probe::stop_pods(CRI, STOP_PODS_WITHIN).map_err(Into::into),
        "storage" if is_finish() => kubermesh_storage::finish().map_err(Into::into),
        "storage" => kubermesh_storage::run().map_err(Into::into),
        _ => return None,
    })
}

/// `storage finish`, the task of the way down.
fn is_finish() -> bool {
    std::env::args().nth(2).is_some_and(|word| word == "finish")
}

/// containerd's socket: containerd.toml of the image says the same.
const CRI: &str = "/run/containerd/containerd.sock";
/// A little less than `[stop] within` of stop-pods.toml: what is left is told, not killed.
const STOP_PODS_WITHIN: Span = Span::from_secs(35);
