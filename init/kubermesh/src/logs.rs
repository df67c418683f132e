// SPDX-License-Identifier: Apache-2.0
//! `kubermesh logs`: asks the log worker and prints what it has, a line each.

use kubermesh_log::client;
use kubermesh_log::{Entry, Query};

use crate::ask::CommandError;
use crate::command::LogsLine;
use crate::print;

/// Prints the entries that the line asks for. A terminal that is closed ends it.
pub(crate) fn show(line: &LogsLine, as_json: bool) -> Result<(), CommandError> {
    let query = Query {
        service: line.service.clone(),
        priority: line.priority,
        lines: Some(line.lines),
        follow: Some(line.follow),
        boot: line.boot.clone(),
    };
    for entry in client::read_at(&line.from, &query)? {
        print::lines(&[one(&entry?, as_json)])?;
    }
    Ok(())
}

/// As JSON a line each, so that a program can read it while it follows.
fn one(entry: &Entry, as_json: bool) -> String {
    if as_json {
        return serde_json::to_string(entry).unwrap_or_default();
    }
    entry.to_string()
}
