// SPDX-License-Identifier: Apache-2.0
//! The log worker under a test's folder: its channel is descriptor 0.

use std::error::Error;
use std::path::PathBuf;

use kubermesh_log::{Ground, run_on};
use kubermesh_sys::signals::Signals;
use kubermesh_worker::Channel;

fn main() -> Result<(), Box<dyn Error>> {
    let channel = Channel::inherit()?;
    let root: PathBuf = std::env::args_os().nth(1).ok_or("name the folder")?.into();
    Ok(run_on(Ground::under(&root), channel, Some(Signals::open()?), None)?)
}
