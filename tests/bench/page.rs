// SPDX-License-Identifier: Apache-2.0
//! docs/figures-init.md: tables with ratios to ours, the targets, the machine, and who is not there.

use std::fmt::Write as _;

use anyhow::Result;

use crate::figures::{Figures, What, growth};
use crate::inits::{ABSENT, Init};
use crate::process;
use crate::targets::{Beside, TARGETS, Target};
use crate::tree::Tree;

const OURS: &str = "kubermesh";

/// A table: its title, and its columns as figure, number of services, and which part of the samples.
struct Table {
    title: &'static str,
    columns: &'static [(&'static str, What, usize, Part)],
}

#[derive(Clone, Copy, PartialEq)]
enum Part {
    Median,
    P99,
}

use Part::{Median, P99};

#[rustfmt::skip]
const TABLES: &[Table] = &[
    Table { title: "Private memory of PID 1, KiB", columns: &[
        ("0", What::Private, 0, Median), ("10", What::Private, 10, Median), ("of it no file's", What::Anonymous, 10, Median),
        ("100", What::Private, 100, Median), ("1000", What::Private, 1000, Median)] },
    Table { title: "Private memory of all that supervises, KiB, and its processes", columns: &[
        ("0", What::AllPrivate, 0, Median), ("10", What::AllPrivate, 10, Median), ("100", What::AllPrivate, 100, Median),
        ("1000", What::AllPrivate, 1000, Median), ("processes, 100", What::Processes, 100, Median)] },
    Table { title: "Start of all, and stop of all, ms", columns: &[
        ("10", What::Start, 10, Median), ("100", What::Start, 100, Median), ("1000", What::Start, 1000, Median),
        ("stop 10", What::Stop, 10, Median), ("stop 100", What::Stop, 100, Median), ("stop 1000", What::Stop, 1000, Median)] },
    Table { title: "SIGKILL to the exec of the next run, ms, and system calls until then", columns: &[
        ("10", What::Restart, 10, Median), ("100", What::Restart, 100, Median), ("100, p99", What::Restart, 100, P99),
        ("1000", What::Restart, 1000, Median), ("1000, p99", What::Restart, 1000, P99), ("calls, 100", What::Calls, 100, Median)] },
    Table { title: "With 10 services: 20,000 zombies at once, of one process group and each of its own, ms; an answer in another such storm, the kernel's lock in the first, ms; context switches in an idle second", columns: &[
        ("zombies", What::Zombies, 10, Median), ("apart", What::ZombiesApart, 10, Median), ("longest answer", What::Answer, 10, Median),
        ("lock", What::Lock, 10, Median), ("idle switches", What::Wakeups, 10, Median)] },
    Table { title: "With 10 services: SIGSEGV or panic of PID 1 to its next answer, ms", columns: &[
        ("SIGSEGV", What::Recovery, 10, Median), ("p99", What::Recovery, 10, P99), ("panic", What::Panic, 10, Median), ("p99", What::Panic, 10, P99)] },
];

/// Writes the page.
pub(crate) fn write(
    figures: &Figures,
    inits: &[Init],
    tree: &Tree,
    rounds: usize,
) -> Result<String> {
    let mut page = head(tree, rounds)?;
    targets(figures, inits, &mut page)?;
    for table in TABLES {
        write_table(table, figures, inits, &mut page)?;
    }
    grows(figures, inits, &mut page)?;
    absent(figures, inits, &mut page)?;
    Ok(page)
}

fn head(tree: &Tree, rounds: usize) -> Result<String> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo")?;
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let model = model.trim_start_matches([' ', '\t', ':']);
    let (cores, kernel) = (std::thread::available_parallelism()?, rustix::system::uname());
    let load = std::fs::read_to_string("/proc/loadavg")?;
    let load = load.split(' ').next().unwrap_or("?");
    Ok(format!(
        "# Figures of inits\n\nWritten by `make bench-init`: our PID 1, as it ships, and others as PID 1, each alone on a stage of its own \
         (namespaces and a private root), one after the other, rounds: {rounds}. {cores} cores of {model}, Linux {}, load {load} at the end. \
         The others are Debian 13's packages on Debian 13's libc {}. Medians; in brackets how many times ours. \
         Bench and inits ran at {} priority: compare columns, not machines.\n\n![How they grow](figures-init.svg)\n\n",
        kernel.release().to_string_lossy(),
        tree.version("libc6"),
        if process::is_real_time()? { "real-time" } else { "the usual" },
    ))
}

fn value(figures: &Figures, init: &str, column: (What, usize, Part)) -> Option<f64> {
    let (what, services, part) = column;
    if part == P99 {
        figures.p99(init, services, what)
    } else {
        figures.median(init, services, what)
    }
}

fn write_table(table: &Table, figures: &Figures, inits: &[Init], page: &mut String) -> Result<()> {
    writeln!(
        page,
        "## {}\n\n| |{}",
        table.title,
        cells(table.columns.iter().map(|column| column.0))
    )?;
    writeln!(page, "|---|{}", cells(table.columns.iter().map(|_| "--:")))?;
    for init in inits {
        let cell = |column: &(&str, What, usize, Part)| {
            let services = if init.most == 1 && column.2 == 10 { 1 } else { column.2 };
            let own = value(figures, init.name, (column.1, services, column.3));
            let ours = value(figures, OURS, (column.1, column.2, column.3));
            with_ratio(own, ours.filter(|_| !init.is_ours()))
        };
        writeln!(page, "| {} |{}", init.title, cells(table.columns.iter().map(cell)))?;
    }
    page.push('\n');
    Ok(())
}

fn cells(all: impl Iterator<Item = impl AsRef<str>>) -> String {
    all.map(|cell| format!(" {} |", cell.as_ref())).collect()
}

fn with_ratio(own: Option<f64>, ours: Option<f64>) -> String {
    match (own, ours) {
        (None, _) => "–".into(),
        (Some(own), Some(ours)) if ours > 0.0 => format!("{} ({}×)", short(own), short(own / ours)),
        (Some(own), _) => short(own),
    }
}

/// Three digits that count.
fn short(number: f64) -> String {
    match number.abs() {
        0.0 => "0".into(),
        small if small < 1.0 => format!("{number:.2}"),
        middle if middle < 20.0 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    }
}

fn targets(figures: &Figures, inits: &[Init], page: &mut String) -> Result<()> {
    page.push_str("## What ours is meant to reach\n\n| | target | ours | | best of the others |\n|---|--:|--:|---|---|\n");
    for target in TARGETS {
        let Some(ours) = target.figure.of(figures, OURS) else { continue };
        let verdict = if ours <= target.limit {
            "reached".to_owned()
        } else {
            format!("missed by {} {}: {}", short(ours - target.limit), target.unit, target.why)
        };
        let best = best_of_others(figures, inits, target);
        writeln!(
            page,
            "| {} | ≤ {} {} | {} | {verdict} | {best} |",
            target.name,
            short(target.limit),
            target.unit,
            short(ours)
        )?;
    }
    page.push('\n');
    Ok(())
}

fn best_of_others(figures: &Figures, inits: &[Init], target: &Target) -> String {
    let others = inits.iter().filter(|init| !init.is_ours() && init.most > 1);
    let others = others.filter(|init| match target.beside {
        Beside::All => true,
        Beside::WithCgroups => init.has_cgroups,
        Beside::Nobody => false,
    });
    let figure = |init: &Init| Some((target.figure.of(figures, init.name)?, init.name));
    let best = others.filter_map(figure).min_by(|one, other| one.0.total_cmp(&other.0));
    best.map_or_else(String::new, |(value, name)| {
        format!("{} {} ({name})", short(value), target.unit)
    })
}

fn grows(figures: &Figures, inits: &[Init], page: &mut String) -> Result<()> {
    page.push_str(
        "## How they grow\n\nBy least squares for each service more, and by the exponent between the two largest numbers of services of what comes on top of none; \
         constant is what stays below two fifths of the largest figure.\n\n\
         | | private KiB of all | | start ms | | restart ms | |\n|---|--:|---|--:|---|--:|---|\n",
    );
    for init in inits.iter().filter(|init| init.most > 1) {
        write!(page, "| {} |", init.title)?;
        for what in [What::AllPrivate, What::Start, What::Restart] {
            match growth(&figures.curve(init.name, what)) {
                Some(growth) => write!(page, " {:.4} | {} |", growth.each, growth.word)?,
                None => page.push_str(" – | |"),
            }
        }
        page.push('\n');
    }
    page.push('\n');
    Ok(())
}

fn absent(figures: &Figures, inits: &[Init], page: &mut String) -> Result<()> {
    page.push_str("## What to know\n\n");
    for init in inits.iter().filter(|init| !init.remark.is_empty()) {
        writeln!(page, "- {}: {}.", init.title, init.remark)?;
    }
    for (name, why) in ABSENT.iter().filter(|(name, _)| inits.iter().all(|init| init.name != *name))
    {
        writeln!(page, "- {name} is not here: {why}.")?;
    }
    for ((init, services), why) in figures.refusals() {
        writeln!(page, "- {init} with {services} services: {why}.")?;
    }
    page.push_str(
        "- A crash of PID 1: ours executes itself again and goes on. The kernel panics where another one is PID 1; systemd catches the signal, \
         and freezes.\n- A restart wants a run of 2.5 s before it, since some inits hold back what has just been started. \
         A round restarts 40 of them, one after the other: with few rounds the p99 is the slowest.\n\
         - During a storm ours alone is asked, over its socket: the commands of the others start a process for each question.\n",
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_tells_how_many_times_ours_it_is() {
        assert_eq!(with_ratio(Some(30.0), Some(12.0)), "30 (2.5×)");
        assert_eq!(with_ratio(Some(0.25), None), "0.25");
        assert_eq!(with_ratio(Some(3.0), Some(0.0)), "3.0");
        assert_eq!(with_ratio(None, Some(1.0)), "–");
    }
}
