// SPDX-License-Identifier: Apache-2.0
//! Writing to standard output: lines for a person, JSON for a program.

use std::io::{ErrorKind, IsTerminal, Write};

use kubermesh_console::page::Paint;
use serde_json::Value;

/// Standard output failed, for another reason than that its reader has seen enough.
#[derive(Debug, thiserror::Error)]
#[error("write to standard output")]
pub(crate) struct PrintError(#[source] std::io::Error);

/// Colours: on a terminal, unless $NO_COLOR (no-color.org) is set and not empty.
pub(crate) fn paint() -> Paint {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if std::io::stdout().is_terminal() && !unwanted { Paint::Colour } else { Paint::Plain }
}

/// Lines.
pub(crate) fn lines(lines: &[String]) -> Result<(), PrintError> {
    let mut text = lines.join("\n");
    text.push('\n');
    bytes(text.as_bytes())
}

/// A value as JSON, laid out for reading.
pub(crate) fn json(value: &Value) -> Result<(), PrintError> {
    lines(&[format!("{value:#}")])
}

/// Bytes as they are. `kubermesh services | head -1` closes the pipe early: no fault of anybody.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), PrintError> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(refusal) if refusal.kind() != ErrorKind::BrokenPipe => Err(PrintError(refusal)),
        Ok(()) | Err(_) => Ok(()),
    }
}
