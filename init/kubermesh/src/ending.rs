// SPDX-License-Identifier: Apache-2.0
//! How the program ends: its exit codes, and the one line that says why.

use std::error::Error;
use std::process::ExitCode;

/// The exit codes; `kubermesh --help` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// 0: done.
    Done,
    /// 1: the answer is no: the node refused, is not as awaited, or a file does not fit.
    No,
    /// 3: nobody answered. 2 is clap's, for a command line that it does not understand.
    Unreachable,
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Done => Self::SUCCESS,
            Ending::No => Self::from(1),
            Ending::Unreachable => Self::from(3),
        }
    }
}

/// Says an error with all its causes on one line of standard error.
pub(crate) fn tell(refusal: &dyn Error) {
    let mut words = refusal.to_string();
    let mut cause = refusal.source();
    while let Some(deeper) = cause {
        words.push_str(&format!(": {deeper}"));
        cause = deeper.source();
    }
    eprintln!("kubermesh: {words}");
}
