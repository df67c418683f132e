// SPDX-License-Identifier: Apache-2.0
//! The walls between the rooms, and what Cargo.toml promises about dependencies and lints.

use toml::Table;

use crate::Rule;
use crate::source::Source;

pub(crate) const ALL: [Rule; 6] = [
    crates_import_what_they_may,
    dependencies_have_reasons,
    dependencies_stand_in_one_place,
    pid_1_touches_the_kernel_through_sys,
    sense_and_act_stay_apart,
    unsafe_stays_in_sys,
];

/// Who may import whom, of ours. A new room is a row here, and so a decision.
const MAY_IMPORT: [(&str, &[&str]); 20] = [
    ("init", &["node", "sys"]),
    ("init/node", &[]),
    ("init/sys", &[]),
    ("init/worker", &["node", "sys"]),
    ("init/confine", &["node", "sys"]),
    ("init/net", WORKER),
    ("init/light", WORKER),
    ("init/log", WORKER),
    ("init/console", WORKER),
    ("init/probe", WORKER),
    ("init/storage", WORKER),
    (
        "init/kubermesh",
        &["node", "sys", "worker", "confine", "net", "light", "log", "console", "probe", "storage"],
    ),
    ("init/beacon", &[]),
    ("image", &["node"]),
    ("qemu", &[]),
    ("tests", &["qemu"]),
    ("tests/actor", &[]),
    ("tests/bench/runner", &[]),
    ("tests/sim", &["node"]),
    (FUZZ, &["node", "sys", "net", "light", "log", "console", "probe", "storage"]),
];

/// A workspace of its own: it inherits nothing from the root.
const FUZZ: &str = "tests/fuzz";

const WORKER: &[&str] = &["node", "sys", "worker"];

/// Every crate's folder and its Cargo.toml.
fn crates(house: &[Source]) -> Vec<(String, Table)> {
    let files =
        house.iter().filter_map(|file| Some((file.path.strip_suffix("/Cargo.toml")?, file)));
    files.map(|(folder, file)| (folder.to_owned(), file.text.parse().unwrap())).collect()
}

fn crates_import_what_they_may(house: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for (folder, table) in crates(house) {
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(room, _)| *room == folder) else {
            faults.push(format!(
                "{folder}: is no room of the house: say in walls.rs whom it may import"
            ));
            continue;
        };
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(named) = table.get(section).and_then(|section| section.as_table()) else {
                continue;
            };
            let ours = named.keys().filter_map(|name| name.strip_prefix("kubermesh-"));
            let wrong = ours.filter(|name| !allowed.contains(name));
            faults
                .extend(wrong.map(|name| format!("{folder}: must not import {name} ({section})")));
        }
    }
    faults
}

fn dependencies_have_reasons(house: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, section) in
        [("Cargo.toml", "[workspace.dependencies]"), ("tests/fuzz/Cargo.toml", "[dependencies]")]
    {
        let Some(file) = house.iter().find(|file| file.path == path) else { continue };
        let rows = file.text.lines().skip_while(|line| *line != section).skip(1);
        let rows = rows.take_while(|line| !line.starts_with('['));
        let theirs = rows.filter(|line| {
            line.contains(" = ") && !line.starts_with('#') && !line.contains("path = ")
        });
        let is_bare =
            |line: &&str| line.split_once(" # ").is_none_or(|(_, why)| why.trim().len() < 10);
        let bare = theirs.filter(is_bare);
        faults.extend(bare.map(|line| format!("{path}: `{line}` needs its reason on its line")));
    }
    faults
}

/// Versions and lints come from the workspace; only sys has lints of its own, since it holds the unsafe.
fn dependencies_stand_in_one_place(house: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for (folder, table) in crates(house).into_iter().filter(|(folder, _)| folder != FUZZ) {
        let inherits = table.get("lints").and_then(|lints| lints.get("workspace")).is_some();
        if !inherits && folder != "init/sys" {
            faults.push(format!("{folder}: needs `[lints] workspace = true`"));
        }
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(named) = table.get(section).and_then(|section| section.as_table()) else {
                continue;
            };
            let alone = named.iter().filter(|(_, wish)| wish.get("workspace").is_none());
            faults.extend(alone.map(|(name, _)| {
                format!("{folder}: {name} belongs into the root Cargo.toml, with its reason")
            }));
        }
    }
    faults
}

/// What runs in PID 1's loop can run in a simulated kernel as well, since it knows no other way to the real
/// one than sys (docs/decisions/0010-simulated-kernel.md). `start` makes the house once, on a real machine.
fn pid_1_touches_the_kernel_through_sys(house: &[Source]) -> Vec<String> {
    let inside = |file: &&Source| {
        file.path.starts_with("init/src/") && !file.path.starts_with("init/src/start/")
    };
    let mut faults = Vec::new();
    for file in house.iter().filter(inside) {
        for (at, line) in file.code() {
            if let Some(word) = PAST_SYS.iter().find(|word| line.contains(**word)) {
                faults.push(format!("{}:{at}: `{word}`: ask sys for it", file.path));
            }
        }
    }
    faults
}

/// Ways to the kernel, its clock and its descriptors that go past sys.
const PAST_SYS: [&str; 11] = [
    "rustix::",
    "nix::",
    "libc::",
    "std::fs",
    "std::os::",
    "std::net",
    "std::process::Command",
    "std::thread",
    "fs::File",
    "Instant",
    "SystemTime",
];

fn sense_and_act_stay_apart(house: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for (room, other) in [("sense", "act"), ("act", "sense")] {
        let inside = |file: &&Source| {
            file.is_rust()
                && (file.path.contains(&format!("/src/{room}/"))
                    || file.path.ends_with(&format!("/src/{room}.rs")))
        };
        for file in house.iter().filter(inside) {
            let code: String = file.code().map(|(_, line)| line).collect();
            if names_module(&code, other) {
                faults.push(format!("{}: {room} must not import {other}", file.path));
            }
        }
    }
    faults
}

/// Whether a path in this code goes into the crate's module of that name: `crate::act`, `super::super::act`,
/// `use crate::{act::…}`. Line ends are gone, so that a group over several lines counts too.
fn names_module(code: &str, module: &str) -> bool {
    let is_word_end = |text: &str| !text.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    let starts_with = |text: &str| text.strip_prefix(module).is_some_and(is_word_end);
    ["crate::", "super::"].iter().any(|prefix| {
        code.split(prefix).skip(1).any(|rest| {
            let group = rest.strip_prefix('{').and_then(|rest| rest.split(';').next());
            starts_with(rest)
                || group.is_some_and(|group| {
                    group.split([',', '{']).any(|part| starts_with(part.trim()))
                })
        })
    })
}

fn unsafe_stays_in_sys(house: &[Source]) -> Vec<String> {
    let word = concat!("uns", "afe");
    let forms = ["{", "fn", "impl", "extern", "trait", "_code)", "(no_mangle"].map(|after| {
        if after.starts_with(['_', '(']) {
            format!("{word}{after}")
        } else {
            format!("{word} {after}")
        }
    });
    let mut faults = Vec::new();
    let outside = |file: &&Source| file.is_rust() && !file.path.starts_with("init/sys/");
    for file in house.iter().filter(outside) {
        let lines =
            file.code().filter(|(_, line)| forms.iter().any(|form| line.contains(form.as_str())));
        faults.extend(
            lines.map(|(at, _)| format!("{}:{at}: {word} belongs into init/sys", file.path)),
        );
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::one;

    #[test]
    fn an_import_through_a_wall_is_told() {
        let said = |path, text| crates_import_what_they_may(&one(path, text)).join("; ");
        let imports = "[dependencies]\nkubermesh-sys.workspace = true\n";
        assert_eq!(
            said("init/node/Cargo.toml", imports),
            "init/node: must not import sys (dependencies)"
        );
        assert_eq!(said("init/net/Cargo.toml", imports), "");
        let tests = "[dev-dependencies]\nkubermesh-light.workspace = true\n";
        assert_eq!(
            said("qemu/Cargo.toml", tests),
            "qemu: must not import light (dev-dependencies)"
        );
        assert!(said("attic/Cargo.toml", "").starts_with("attic: is no room of the house"));
    }

    #[test]
    fn a_dependency_without_reason_or_out_of_place_is_told() {
        let root = "[workspace.dependencies]\na = \"1\" # why it is good to have\nb = { version = \"1\" }\n";
        let faults = dependencies_have_reasons(&one("Cargo.toml", root));
        assert_eq!(faults, ["Cargo.toml: `b = { version = \"1\" }` needs its reason on its line"]);
        let own = "[dependencies]\nserde = \"1\"\n";
        let faults = dependencies_stand_in_one_place(&one("init/net/Cargo.toml", own));
        assert_eq!(faults[0], "init/net: needs `[lints] workspace = true`");
        assert_eq!(faults[1], "init/net: serde belongs into the root Cargo.toml, with its reason");
    }

    #[test]
    fn sense_that_imports_act_is_told_however_it_is_written() {
        let said = |text| sense_and_act_stay_apart(&one("init/src/sense/a.rs", text)).join("; ");
        let fault = "init/src/sense/a.rs: sense must not import act";
        assert_eq!(said("use crate::act::Services;"), fault);
        assert_eq!(said("use crate::{\n    say,\n    act::{self, modules},\n};"), fault);
        assert_eq!(said("let a = super::super::act::start();"), fault);
        assert_eq!(
            said("use crate::active;\n// crate::act is elsewhere\nuse crate::{say, actor};"),
            ""
        );
        let act = sense_and_act_stay_apart(&one("init/net/src/act/mod.rs", "use crate::sense;"));
        assert_eq!(act, ["init/net/src/act/mod.rs: act must not import sense"]);
    }

    #[test]
    fn a_way_to_the_kernel_that_goes_past_sys_is_told() {
        let said = |path| {
            let text = "use kubermesh_sys::files;\n// std::fs would wait\nuse std::fs::File;\n";
            pid_1_touches_the_kernel_through_sys(&one(path, text)).join("; ")
        };
        let fault = "init/src/act/a.rs:3: `std::fs`: ask sys for it";
        assert_eq!(said("init/src/act/a.rs"), fault);
        assert_eq!(said("init/src/start/a.rs") + &said("init/net/src/a.rs"), "");
    }

    #[test]
    fn unsafe_code_outside_sys_is_told() {
        let text = concat!("fn a() {\n    uns", "afe { b() }\n}");
        let faults = unsafe_stays_in_sys(&one("init/net/src/a.rs", text));
        assert_eq!(faults, [concat!("init/net/src/a.rs:2: uns", "afe belongs into init/sys")]);
        assert!(unsafe_stays_in_sys(&one("init/sys/src/a.rs", text)).is_empty());
    }
}
