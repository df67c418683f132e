// SPDX-License-Identifier: Apache-2.0
//! Carries out a command: asks the node, prints what it says.

use std::time::Duration;

use clap::CommandFactory;
use kubermesh_console::asking::{AskError, ask, call};
use kubermesh_console::page::{self, Paint};
use kubermesh_log::client::ReadError;
use kubermesh_node::control::{NodeView, Request};
use kubermesh_node::varlink::Call;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::check::{self, CheckError};
use crate::command::{Command, Line};
use crate::ending::Ending;
use crate::logs;
use crate::print::{self, PrintError};
use crate::upgrade::{self, UpgradeError};
use crate::wait::{self, WaitError};

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error("the node's answer is of another version: {what}")]
    Foreign { what: &'static str, source: serde_json::Error },
    #[error(transparent)]
    Wait(#[from] WaitError),
    #[error(transparent)]
    Check(#[from] CheckError),
    #[error(transparent)]
    Print(#[from] PrintError),
    #[error(transparent)]
    Log(#[from] ReadError),
    #[error(transparent)]
    Upgrade(#[from] UpgradeError),
}

impl CommandError {
    pub(crate) const fn ending(&self) -> Ending {
        match self {
            Self::Ask(refusal) | Self::Upgrade(UpgradeError::Ask(refusal))
                if refusal.is_unreachable() =>
            {
                Ending::Unreachable
            }
            Self::Wait(WaitError::Unreachable { .. })
            | Self::Foreign { .. }
            | Self::Log(ReadError::Connect { .. }) => Ending::Unreachable,
            Self::Ask(_)
            | Self::Wait(_)
            | Self::Check(_)
            | Self::Print(_)
            | Self::Log(_)
            | Self::Upgrade(_) => Ending::No,
        }
    }
}

/// Does what the line says.
pub(crate) fn carry_out(line: &Line) -> Result<(), CommandError> {
    match &line.command {
        Command::Status(status) => {
            let view = if status.wait.is_empty() {
                one(line, &Request::Status {})?
            } else {
                wait::until(&line.socket, &status.wait, status.within)?
            };
            show(line, &view, |view, paint| Ok(page::status(&parsed("Status", view)?, paint)))
        }
        Command::Why => {
            let view = one(line, &Request::Why {})?;
            show(line, &view, |view, paint| Ok(page::why(&parsed("Why", view)?, paint)))
        }
        Command::Light => {
            let view = one(line, &Request::Light {})?;
            show(line, &view, |view, _| Ok(page::light(&parsed("Light", view)?)))
        }
        Command::Services => with_now(line, &Request::Services {}, |view, node, paint| {
            Ok(page::services(&parsed("Services", view)?, node.now, paint))
        }),
        Command::Links => with_now(line, &Request::Links {}, |view, node, paint| {
            Ok(page::links(&parsed("Links", view)?, node.now, paint))
        }),
        Command::Logs(logs) => logs::show(logs, line.json),
        Command::Restart { service } => {
            let request = Request::Restart { service: service.clone() };
            act(line, &request, format!("{service} is stopped and started again"))
        }
        Command::Identify { lasts } => {
            let said = match lasts.as_millis() {
                0 => "this node's light blinks no longer".to_owned(),
                _ => format!("this node's light blinks for {lasts}"),
            };
            act(line, &Request::Identify { lasts: *lasts }, said)
        }
        Command::Reboot => act(
            line,
            &Request::Reboot {},
            "this node stops its services in order and starts again".to_owned(),
        ),
        Command::Poweroff => act(
            line,
            &Request::PowerOff {},
            "this node stops its services in order and switches itself off".to_owned(),
        ),
        Command::UpgradeInit { file } => {
            let view = upgrade::upgrade(&line.socket, file)?;
            show(line, &view, |view, _| {
                let node: NodeView = parsed("Status", view)?;
                Ok(vec![format!("PID 1 is init {} now, its services live on", node.version)])
            })
        }
        Command::Call { method, parameters } => {
            let call = Call {
                method: method.clone(),
                parameters: parameters.clone(),
                more: false,
                oneway: false,
            };
            let answers = ask(&line.socket, vec![call], WITHIN)?;
            Ok(print::json(&answers.into_iter().next().unwrap_or_default())?)
        }
        Command::Check { files } => Ok(check::check_and_print(files, line.json)?),
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Line::command(), "kubermesh", &mut script);
            Ok(print::bytes(&script)?)
        }
    }
}

fn one(line: &Line, request: &Request) -> Result<Value, CommandError> {
    let answers = ask(&line.socket, vec![call(request)], WITHIN)?;
    Ok(answers.into_iter().next().unwrap_or_default())
}

fn act(line: &Line, request: &Request, said: String) -> Result<(), CommandError> {
    let view = one(line, request)?;
    show(line, &view, |_, _| Ok(vec![said]))
}

fn show(
    line: &Line,
    view: &Value,
    lines: impl FnOnce(&Value, Paint) -> Result<Vec<String>, CommandError>,
) -> Result<(), CommandError> {
    if line.json {
        return Ok(print::json(view)?);
    }
    Ok(print::lines(&lines(view, print::paint())?)?)
}

/// Shows an answer that tells moments: the node's own clock says how long they are gone by, so
/// the status is asked for too.
fn with_now(
    line: &Line,
    request: &Request,
    lines: impl FnOnce(&Value, &NodeView, Paint) -> Result<Vec<String>, CommandError>,
) -> Result<(), CommandError> {
    if line.json {
        return Ok(print::json(&one(line, request)?)?);
    }
    let answers = ask(&line.socket, vec![call(request), call(&Request::Status {})], WITHIN)?;
    let [view, node] = answers.as_slice() else { return Ok(()) };
    let node = parsed("Status", node)?;
    Ok(print::lines(&lines(view, &node, print::paint())?)?)
}

fn parsed<T: DeserializeOwned>(what: &'static str, view: &Value) -> Result<T, CommandError> {
    T::deserialize(view).map_err(|source| CommandError::Foreign { what, source })
}

/// PID 1 answers on the next turn of its loop; a node that takes longer than this is stuck.
const WITHIN: Duration = Duration::from_secs(5);
