// SPDX-License-Identifier: Apache-2.0
//! `make bench-init`: our PID 1 and others as PID 1, each on a stage of its own, one after the other
//! in each round, so that what else the machine does hits all of them.
//!
//! ```text
//! round ─► init ─► services ─► trial ─► figures ─► tables with ratios, docs/figures-init.md, a picture
//! ```
//!
//! bench-init [--rounds N] [--services 0,10,100,1000] [--inits kubermesh,s6,…] [--smoke]

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss,
    reason = "runs on a person's machine, never on a node; figures are far from any bound"
)]

mod figures;
mod inits;
mod page;
mod picture;
mod process;
mod storm;
mod strace;
mod targets;
mod tree;
mod trial;

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use figures::Figures;
use inits::Init;
use trial::Wish;

/// What is asked for.
struct Wishes {
    rounds: usize,
    services: Vec<usize>,
    inits: Vec<String>,
    /// The bench itself is tried: few and short.
    smoke: bool,
}

fn main() -> Result<()> {
    let wishes = wishes()?;
    let tree = tree::Tree::fetch()?;
    let inits: Vec<Init> = inits::all(&tree)?
        .into_iter()
        .filter(|init| wishes.inits.is_empty() || wishes.inits.iter().any(|name| name == init.name))
        .collect();
    ensure!(!inits.is_empty(), "no init of {:?} is known", wishes.inits);
    let mut figures = Figures::default();
    for round in 1..=wishes.rounds {
        for init in &inits {
            let each = if init.most == 1 { [1].as_slice() } else { wishes.services.as_slice() };
            for services in each {
                let wish = Wish { services: *services, smoke: wishes.smoke };
                eprintln!("round {round}, {}, {services} services", init.name);
                if let Err(refusal) = trial::run(init, &tree, &wish, &mut figures) {
                    eprintln!("    {refusal:#}");
                    figures.fails(init.name, *services, &format!("{refusal:#}"));
                }
                eprintln!("    so far: {}", figures.in_short(init.name, *services));
            }
        }
    }
    let page = page::write(&figures, &inits, &tree, wishes.rounds)?;
    println!("{page}");
    if wishes.smoke {
        return check_smoke(&figures, &inits);
    }
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    picture::draw(&figures, &inits, &docs.join("figures-init.svg"))?;
    std::fs::write(docs.join("figures-init.md"), page).context("write docs/figures-init.md")
}

/// Each figure could be taken; how good it is, is for the long run to say.
fn check_smoke(figures: &Figures, inits: &[Init]) -> Result<()> {
    for init in inits {
        for what in figures::SMOKE {
            let taken = figures.samples_of_any(init.name, *what);
            ensure!(!taken.is_empty(), "{}: no {what:?}: {:?}", init.name, figures.refusals());
        }
    }
    Ok(())
}

fn wishes() -> Result<Wishes> {
    let mut wishes =
        Wishes { rounds: 5, services: vec![0, 10, 100, 1000], inits: vec![], smoke: false };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("{word} wants a value"));
        match word.as_str() {
            "--rounds" => wishes.rounds = value()?.parse()?,
            "--services" => {
                let each = value()?.split(',').map(str::parse).collect::<Result<_, _>>();
                wishes.services = each?;
            }
            "--inits" => wishes.inits = value()?.split(',').map(str::to_owned).collect(),
            "--smoke" => {
                (wishes.smoke, wishes.rounds, wishes.services) = (true, 1, vec![5]);
            }
            _ => bail!("{word} is not understood: --rounds, --services, --inits and --smoke are"),
        }
    }
    Ok(wishes)
}
