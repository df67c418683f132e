// SPDX-License-Identifier: Apache-2.0
//! The static pod that every node runs: answers over HTTP who and where it is.
//!
//! ```text
//! beacon        [::]:8080  GET /         one line of JSON: who answers, and whom
//!                          GET /healthz  ok
//!               [::]:7     echo (RFC 862): a stream that lasts as long as its two ends
//! beacon pause  waits: the process that holds a pod's namespaces open (the CRI's sandbox image)
//! ```
//!
//! Its pod proves a node: sandbox, cgroups, runc, the pod network in both families. The echo
//! proves that what restarts beneath a pod does not touch the pod.
//!
//! What is deliberately absent: state, configuration, TLS. What it knows of itself kubelet tells it
//! in the environment.

mod answer;
mod identity;
mod pause;
mod serve;

use std::process::ExitCode;

use nix::sys::signal::{SigSet, Signal};

use crate::identity::Identity;

fn main() -> ExitCode {
    let argument = std::env::args().nth(1);
    let outcome = match argument.as_deref() {
        None => serve(),
        Some("pause") => pause::until_told().map_err(Failure::from),
        Some(other) => Err(Failure::Argument(other.to_owned())),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("beacon: {}", chain(&failure));
            ExitCode::FAILURE
        }
    }
}

/// Serves until TERM or INT. Streams that are still open then end with the process.
fn serve() -> Result<(), Failure> {
    let mut stop = SigSet::empty();
    stop.add(Signal::SIGTERM);
    stop.add(Signal::SIGINT);
    // Blocked before the first thread starts, since threads inherit the mask. As process 1 of its
    // pod it would otherwise never see a signal that it has no handler for: pid_namespaces(7).
    stop.thread_block().map_err(Failure::Signals)?;

    let identity = Identity::of_environment();
    serve::http(&identity)?;
    serve::echo()?;
    println!("beacon: {identity} answers");

    let signal = stop.wait().map_err(Failure::Signals)?;
    println!("beacon: {signal}, leaving");
    Ok(())
}

/// Why the beacon could not do what it was started for.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("unknown argument {0:?}, allowed is `pause` or none")]
    Argument(String),
    #[error("take signals")]
    Signals(#[source] nix::errno::Errno),
    #[error(transparent)]
    Serve(#[from] serve::ServeError),
    #[error(transparent)]
    Pause(#[from] pause::PauseError),
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        said.push_str(": ");
        said.push_str(&error.to_string());
        cause = error.source();
    }
    said
}
