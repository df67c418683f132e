// SPDX-License-Identifier: Apache-2.0
//! `kubermesh-desk`: what `make run` ends in. Boots nodes from a stick's image, a blink(1) on each, cables between,
//! and shows them in a terminal, or line by line where there is no terminal.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "runs on a person's machine, never on a node"
)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop where it stands")
)]

mod event;
mod keys;
mod lines;
mod mesh;
mod paint;
mod pane;
mod screen;
mod terminal;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand, ValueEnum};
use kubermesh_qemu::Accelerator;

use crate::mesh::Mesh;

/// A mesh on a desk.
#[derive(Parser)]
#[command(name = "kubermesh-desk", version)]
struct CommandLine {
    #[command(subcommand)]
    deed: Deed,
}

#[derive(Subcommand)]
enum Deed {
    /// Boot nodes joined in a line by cables, and show their consoles and lights.
    Run(Run),
}

#[derive(clap::Args)]
pub(crate) struct Run {
    /// The stick's image; it is not changed.
    #[arg(long)]
    pub(crate) usb: PathBuf,
    /// How many nodes: 1 to 9.
    #[arg(long, default_value_t = 1)]
    pub(crate) nodes: usize,
    /// Who executes the guests' instructions.
    #[arg(long, value_enum)]
    accel: Option<Accel>,
    /// Memory of each node in MiB.
    #[arg(long, default_value_t = 2048)]
    pub(crate) memory_mib: u32,
    /// Size of each node's stick in MiB, where it shall be larger than the image.
    #[arg(long)]
    pub(crate) stick_mib: Option<u64>,
    /// More words for the kernel's command line of each node.
    #[arg(long)]
    pub(crate) cmdline: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Accel {
    /// QEMU itself: works everywhere.
    Tcg,
    /// The processor: fast, where /dev/kvm really works.
    Kvm,
}

impl Run {
    pub(crate) fn accelerator(&self) -> Option<Accelerator> {
        self.accel.map(|accel| match accel {
            Accel::Tcg => Accelerator::Tcg,
            Accel::Kvm => Accelerator::Kvm,
        })
    }
}

fn main() -> ExitCode {
    let Deed::Run(wish) = CommandLine::parse().deed;
    match run(&wish) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kubermesh-desk: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(wish: &Run) -> Result<()> {
    ensure!((1..=9).contains(&wish.nodes), "--nodes {}, allowed is 1 to 9", wish.nodes);
    ensure!(wish.usb.exists(), "there is no image {}: `make usb` writes it", wish.usb.display());
    // Before the first thread is made: each inherits that these signals wait for the one who asks for them.
    let events = event::listen()?;
    let mesh = Mesh::boot(wish, &events.sender)?;
    if std::io::stdout().is_terminal() && std::io::stdin().is_terminal() {
        screen::show(mesh, events)
    } else {
        lines::print(&mesh, &events)
    }
}
