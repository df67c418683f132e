// SPDX-License-Identifier: Apache-2.0
//! The rules for single files: licence line, head doc, size, name, nothing half done, nothing skipped.

use crate::Rule;
use crate::source::Source;

pub(crate) const ALL: [Rule; 9] = [
    licence_line,
    head_doc,
    size,
    name,
    nothing_half_done,
    no_test_is_skipped,
    readme_names_the_two_commands,
    make_has_what_the_pages_name,
    links_lead_somewhere,
];

fn licence_line(house: &[Source]) -> Vec<String> {
    let kinds = [".rs", ".toml", ".go", ".yaml", ".list"];
    let wants = |file: &&Source| {
        let is_ours = file.path != PERSONS_FILE;
        file.is_script() || is_ours && kinds.iter().any(|kind| file.path.ends_with(kind))
    };
    let has = |file: &&Source| file.text.lines().take(2).any(|line| line.ends_with(SPDX));
    let bare = house.iter().filter(wants).filter(|file| !has(file));
    bare.map(|file| format!("{}: the first line must be `{SPDX}`", file.path)).collect()
}

fn head_doc(house: &[Source]) -> Vec<String> {
    let has = |file: &&Source| file.text.lines().nth(1).is_some_and(|line| line.starts_with("//!"));
    let bare = house.iter().filter(|file| file.is_rust()).filter(|file| !has(file));
    bare.map(|file| format!("{}: the second line must begin the head doc, `//!`", file.path))
        .collect()
}

fn size(house: &[Source]) -> Vec<String> {
    let counts = |file: &&Source| file.is_rust() || file.is_script() || file.path.ends_with(".go");
    let long = house.iter().filter(counts).map(|file| (file, file.text.lines().count()));
    let long = long.filter(|(_, lines)| *lines > 400);
    long.map(|(file, lines)| format!("{}: {lines} lines, allowed are 400", file.path)).collect()
}

fn name(house: &[Source]) -> Vec<String> {
    let says_nothing = |file: &&Source| {
        let mut parts = file.path.split('/').map(|part| part.split('.').next().unwrap_or(part));
        (file.is_rust() || file.path.ends_with(".go"))
            && parts.any(|part| EMPTY_NAMES.contains(&part))
    };
    let empty = house.iter().filter(says_nothing);
    empty.map(|file| format!("{}: name it for the thing that it holds", file.path)).collect()
}

fn nothing_half_done(house: &[Source]) -> Vec<String> {
    let words = [
        concat!("to", "do!("),
        concat!("unimpl", "emented!("),
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
    ];
    let is_code = |file: &&Source| file.is_rust() || file.is_script() || file.path.ends_with(".go");
    find(house.iter().filter(is_code), &words, "finish it, or file an issue")
}

fn no_test_is_skipped(house: &[Source]) -> Vec<String> {
    let rust = || house.iter().filter(|file| file.is_rust());
    let mut faults = find(rust(), &[concat!("#[ign", "ore")], "a test runs, or it goes");
    for file in rust() {
        let says_so = |line: &str| {
            line.contains("println!") && line.to_lowercase().contains(concat!("sk", "ip"))
        };
        let lines = file.code().filter(|(_, line)| says_so(line));
        faults.extend(lines.map(|(at, _)| {
            format!("{}:{at}: a test whose tool is missing fails, it does not skip", file.path)
        }));
    }
    faults
}

fn readme_names_the_two_commands(house: &[Source]) -> Vec<String> {
    let readme = house.iter().filter(|file| file.path == "README.md");
    let lacks = |command: &&str| !readme.clone().any(|file| file.text.contains(*command));
    let lacking = ["make run", "make test"].into_iter().filter(lacks);
    lacking.map(|command| format!("README.md: must name `{command}`")).collect()
}

/// Pages, programs and messages say "`make something` does it": it must be there.
fn make_has_what_the_pages_name(house: &[Source]) -> Vec<String> {
    let Some(makefile) = house.iter().find(|file| file.path == "Makefile") else {
        return vec!["Makefile: is not there".to_owned()];
    };
    let mut faults = Vec::new();
    for file in house.iter().filter(|file| !file.path.starts_with("tests/tests/house/")) {
        for (_, rest) in file.text.match_indices("`make ").map(|(at, _)| file.text.split_at(at + 6))
        {
            let target: String =
                rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
            let is_there =
                makefile.text.lines().any(|line| line.starts_with(&format!("{target}:")));
            if !target.is_empty() && !is_there {
                faults
                    .push(format!("{}: names `make {target}`, which Makefile has not", file.path));
            }
        }
    }
    faults
}

fn links_lead_somewhere(house: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for page in house.iter().filter(|file| file.path.ends_with(".md")) {
        let folder = page.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for rest in page.text.split("](").skip(1) {
            let link = rest.split([')', '#']).next().unwrap_or_default();
            if link.is_empty() || link.contains("://") {
                continue;
            }
            let aim = format!("{folder}/{link}");
            let aim = aim.trim_start_matches('/').trim_end_matches('/');
            let within = format!("{aim}/");
            if !house.iter().any(|file| file.path == aim || file.path.starts_with(&within)) {
                faults.push(format!("{}: links to {link}, which is not there", page.path));
            }
        }
    }
    faults
}

/// Each place in code where one of these words stands.
fn find<'a>(files: impl Iterator<Item = &'a Source>, words: &[&str], advice: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files {
        for (index, line) in file.text.lines().enumerate() {
            if let Some(word) = words.iter().find(|word| line.contains(**word)) {
                faults.push(format!("{}:{}: `{word}`: {advice}", file.path, index + 1));
            }
        }
    }
    faults
}

const SPDX: &str = "SPDX-License-Identifier: Apache-2.0";

/// It is copied to the stick, where it belongs to whoever owns the machine.
const PERSONS_FILE: &str = "image/src/node.toml";

/// Names of drawers, not of things.
const EMPTY_NAMES: [&str; 14] = [
    "util",
    "utils",
    "common",
    "core",
    "misc",
    "helper",
    "helpers",
    "manager",
    "handler",
    "handlers",
    "types",
    "constants",
    "shared",
    "stuff",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::one;

    const GOOD: &str = "// SPDX-License-Identifier: Apache-2.0\n//! Says what.\n";

    fn said(rule: Rule, path: &str, text: &str) -> String {
        rule(&one(path, text)).join("; ")
    }

    #[test]
    fn a_file_without_licence_or_head_doc_is_told() {
        assert!(
            said(licence_line, "a.rs", "//! Doc.\n").starts_with("a.rs: the first line must be")
        );
        assert!(said(licence_line, "x/setup", "#!/bin/sh\nset -eu\n").starts_with("x/setup: "));
        assert_eq!(said(licence_line, "x/setup", &format!("#!/bin/sh\n# {SPDX}\n")), "");
        assert!(
            said(head_doc, "a.rs", "// SPDX\nuse std::fs;\n").starts_with("a.rs: the second line")
        );
        assert_eq!(said(licence_line, "a.rs", GOOD) + &said(head_doc, "a.rs", GOOD), "");
    }

    #[test]
    fn a_long_file_and_an_empty_name_are_told() {
        assert_eq!(said(size, "a.rs", &"\n".repeat(401)), "a.rs: 401 lines, allowed are 400");
        assert_eq!(said(size, "a.rs", &"\n".repeat(400)), "");
        let advice = "name it for the thing that it holds";
        assert_eq!(said(name, "init/src/utils.rs", ""), format!("init/src/utils.rs: {advice}"));
        assert_eq!(said(name, "init/common/a.rs", ""), format!("init/common/a.rs: {advice}"));
        assert_eq!(said(name, "init/src/held.rs", ""), "");
    }

    #[test]
    fn what_is_half_done_or_skipped_is_told() {
        let half = concat!("fn a() { to", "do!() }");
        assert!(said(nothing_half_done, "a.rs", half).starts_with("a.rs:1: "));
        assert!(
            said(nothing_half_done, "b", concat!("#!/bin/sh\n# FIX", "ME")).starts_with("b:2: ")
        );
        assert!(
            said(no_test_is_skipped, "a.rs", concat!("\n#[ign", "ore]")).starts_with("a.rs:2: ")
        );
        let quiet = concat!("eprintln!(\"no bird here, sk", "ipping\"); return;");
        assert!(said(no_test_is_skipped, "a.rs", quiet).starts_with("a.rs:1: "));
        assert_eq!(said(no_test_is_skipped, "a.rs", "rows.skip(1)"), "");
    }

    #[test]
    fn a_page_that_names_what_is_not_there_is_told() {
        let faults = readme_names_the_two_commands(&one("README.md", "make run"));
        assert_eq!(faults, ["README.md: must name `make test`"]);
        let mut house = one("Makefile", "run: usb\n");
        house.extend(one(
            "docs/a.md",
            "`make run`, `make tea`, [b](b.md), [c](https://c.example), [d](../d)",
        ));
        let faults = make_has_what_the_pages_name(&house);
        assert_eq!(faults, ["docs/a.md: names `make tea`, which Makefile has not"]);
        assert_eq!(links_lead_somewhere(&house).len(), 2);
        house.extend(one("docs/b.md", ""));
        assert_eq!(links_lead_somewhere(&house), ["docs/a.md: links to ../d, which is not there"]);
    }
}
