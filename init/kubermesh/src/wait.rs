// SPDX-License-Identifier: Apache-2.0
//! Waits until a node is as a person wants it.
//!
//! It asks again and again, rather than being told: so it also waits through a reboot, when there
//! is no socket for a while.

use std::path::Path;
use std::time::{Duration, Instant};

use kubermesh_console::asking::{AskError, ask, call};
use kubermesh_node::control::Request;
use kubermesh_node::time::Span;
use serde_json::Value;

use crate::command::Word;

/// Why the waiting was in vain.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WaitError {
    #[error("not {wanted} after {within}, still {word}: {sentence}")]
    NotSo { wanted: String, within: Span, word: String, sentence: String },
    #[error("not {wanted} after {within}")]
    Unreachable { wanted: String, within: Span, source: AskError },
}

/// The first status that is one of `wanted`, or why there was none `within` this time.
pub(crate) fn until(socket: &Path, wanted: &[Word], within: Span) -> Result<Value, WaitError> {
    let start = Instant::now();
    let whole = Duration::from_millis(within.as_millis());
    loop {
        let left = whole.saturating_sub(start.elapsed());
        let asked = ask(socket, vec![call(&Request::Status {})], left.clamp(LEAST, MOST));
        let view = asked.map(|answers| answers.into_iter().next().unwrap_or_default());
        if let Ok(view) = &view
            && wanted.iter().any(|word| said(view, "/word") == word.as_str())
        {
            return Ok(view.clone());
        }
        if start.elapsed().saturating_add(PAUSE) > whole {
            return Err(in_vain(view, wanted, within));
        }
        std::thread::sleep(PAUSE);
    }
}

fn in_vain(view: Result<Value, AskError>, wanted: &[Word], within: Span) -> WaitError {
    let wanted: Vec<&str> = wanted.iter().map(|word| word.as_str()).collect();
    let wanted = wanted.join(" or ");
    match view {
        Ok(view) => WaitError::NotSo {
            wanted,
            within,
            word: said(&view, "/word").to_owned(),
            sentence: said(&view, "/status/sentence").to_owned(),
        },
        Err(source) => WaitError::Unreachable { wanted, within, source },
    }
}

fn said<'a>(view: &'a Value, pointer: &str) -> &'a str {
    view.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Between two questions: nobody notices a quarter of a second, and PID 1 four a second neither.
const PAUSE: Duration = Duration::from_millis(250);
/// For one answer, also at the very end of the time.
const LEAST: Duration = Duration::from_millis(250);
/// For one answer at most: a PID 1 that hangs is asked anew.
const MOST: Duration = Duration::from_secs(5);
