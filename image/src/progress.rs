// SPDX-License-Identifier: Apache-2.0
//! Says on the terminal what is going on, and how long it took.

use std::time::Instant;

use anyhow::Result;
use serde::Serialize;

/// The steps of a build, in order.
#[derive(Debug, Default)]
pub struct Progress {
    steps: Vec<Step>,
}

/// One step that has ended.
#[derive(Debug, Serialize)]
pub struct Step {
    /// Which.
    pub name: String,
    /// How long it took.
    pub seconds: f64,
}

impl Progress {
    /// Those that have ended.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Does a step, told before and after.
    ///
    /// # Errors
    /// The step's own.
    pub fn step<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        eprintln!("{name} …");
        let began = Instant::now();
        let done = work()?;
        let seconds = began.elapsed().as_secs_f64();
        eprintln!("{name}: {seconds:.1} s");
        self.steps.push(Step { name: name.to_owned(), seconds });
        Ok(done)
    }
}
