// SPDX-License-Identifier: Apache-2.0
//! What is good of a node.toml in which something is wrong: a misspelt name must not take the node
//! out of its mesh.
//!
//! ```text
//! text ─► whole file good? ─► Config
//!          └─ no ─► what stands before a broken line ─► each key alone ─► ranges ─► Config, and why not all
//! ```
//!
//! Each key is read in a text in which all else is blank, so that messages keep line and column.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Config, ConfigError, MeshConfig};

impl Config {
    /// Takes what is good. Each refusal is one thing that was not taken; its default holds.
    #[must_use]
    pub fn forgiving(file: &str, text: &str) -> (Self, Vec<ConfigError>) {
        if let Ok(config) = Self::parse(file, text) {
            return (config, vec![]);
        }
        let mut reading = Reading {
            file,
            text,
            config: Self::default(),
            lines: BTreeMap::new(),
            refused: vec![],
        };
        match DeTable::parse(text) {
            Ok(document) => reading.take_tables(document.get_ref()),
            Err(broken) => reading.take_before(broken),
        }
        reading.put_into_ranges();
        (reading.config, reading.refused)
    }
}

struct Reading<'a> {
    file: &'a str,
    text: &'a str,
    config: Config,
    /// Where each key is, `mesh.hello`.
    lines: BTreeMap<String, usize>,
    refused: Vec<ConfigError>,
}

type Key<'a> = Spanned<std::borrow::Cow<'a, str>>;

impl Reading<'_> {
    /// After a line that is no TOML nothing is sure: a quote that does not end may swallow the rest.
    fn take_before(&mut self, broken: toml::de::Error) {
        let at = broken.span().map_or(0, |span| span.start);
        let whole = self.text.get(..at).unwrap_or_default();
        let before = whole.rfind('\n').and_then(|end| self.text.get(..end)).unwrap_or_default();
        self.refused.push(ConfigError::Broken { file: self.file.to_owned(), source: broken });
        if let Ok(document) = DeTable::parse(before) {
            self.take_tables(document.get_ref());
        }
    }

    fn take_tables(&mut self, document: &DeTable<'_>) {
        for (name, value) in document {
            let DeValue::Table(inner) = value.get_ref() else {
                self.refuse_table(name);
                continue;
            };
            for (key, value) in inner {
                let place = key.span().start..value.span().end;
                match name.get_ref().as_ref() {
                    "mesh" => self.take_mesh(key, place),
                    "node" => self.take_node(key, place),
                    "ports" => self.take_port(place),
                    _ => {}
                }
            }
            if !TABLES.contains(&name.get_ref().as_ref()) {
                self.refuse_table(name);
            }
        }
    }

    fn refuse_table(&mut self, name: &Key<'_>) {
        self.refused.push(ConfigError::Table {
            file: self.file.to_owned(),
            line: self.line_at(name.span().start),
            name: name.get_ref().clone().into_owned(),
        });
    }

    fn take_mesh(&mut self, key: &Key<'_>, place: Range<usize>) {
        self.remember("mesh", key);
        let Some(Config { mesh: alone, .. }) = self.alone("mesh", place) else { return };
        let mesh = &mut self.config.mesh;
        match key.get_ref().as_ref() {
            "prefix" => mesh.prefix = alone.prefix,
            "hello" => mesh.hello = alone.hello,
            "dead" => mesh.dead = alone.dead,
            "bfd" => mesh.bfd = alone.bfd,
            _ => {}
        }
    }

    fn take_node(&mut self, key: &Key<'_>, place: Range<usize>) {
        self.remember("node", key);
        if let Some(alone) = self.alone("node", place) {
            self.config.node.hostname = alone.node.hostname;
        }
    }

    fn take_port(&mut self, place: Range<usize>) {
        let alone = self.alone("ports", place);
        self.config.ports.extend(alone.unwrap_or_default().ports);
    }

    fn remember(&mut self, table: &str, key: &Key<'_>) {
        let line = self.line_at(key.span().start);
        self.lines.insert(format!("{table}.{}", key.get_ref()), line);
    }

    /// What is at this place of a table, read as if nothing else were there.
    fn alone(&mut self, table: &str, place: Range<usize>) -> Option<Config> {
        let mut alone = blank(self.text.get(..place.start).unwrap_or_default());
        name_table(table, &mut alone);
        alone.push_str(self.text.get(place.clone()).unwrap_or_default());
        alone.push_str(&blank(self.text.get(place.end..).unwrap_or_default()));
        match toml::from_str(&alone) {
            Ok(config) => Some(config),
            Err(source) => {
                self.refused.push(ConfigError::Unreadable { file: self.file.to_owned(), source });
                None
            }
        }
    }

    /// A value outside its range gives way to the default, until all is in range.
    fn put_into_ranges(&mut self) {
        // Each round mends one of four keys for good, or both timers at once.
        for _ in 0..5 {
            let Err(refusal) = self.config.check_ranges(self.file) else { return };
            let ConfigError::Range { file, key, given, allowed } = refusal else { return };
            let mesh = MeshConfig::default();
            match key {
                "node.hostname" => self.config.node.hostname = None,
                "mesh.prefix" => self.config.mesh.prefix = None,
                "mesh.hello" => self.config.mesh.hello = mesh.hello,
                "mesh.dead" => {
                    // One of them alone means nothing: the default of this may not fit that hello.
                    self.config.mesh.hello = mesh.hello;
                    self.config.mesh.dead = mesh.dead;
                }
                _ => self.config.mesh.bfd = mesh.bfd,
            }
            let line = self.lines.get(key).map_or_else(String::new, |line| format!(" line {line}"));
            let file = format!("{file}{line}");
            self.refused.push(ConfigError::Range { file, key, given, allowed });
        }
    }

    fn line_at(&self, offset: usize) -> usize {
        let before = self.text.bytes().take(offset);
        before.filter(|byte| *byte == b'\n').count().saturating_add(1)
    }
}

/// The same lines and columns, with nothing on them.
fn blank(text: &str) -> String {
    text.chars().map(|c| if c == '\n' { c } else { ' ' }).collect()
}

/// Names the table of what will follow: by its head on an earlier line, or by `table.` on the same one.
/// The text has room for one of them, since it did name the table there.
fn name_table(table: &str, before: &mut String) {
    let line = before.rfind('\n').map_or(0, |end| end.saturating_add(1));
    let dotted = format!("{table}.");
    if before.len().saturating_sub(line) >= dotted.len() {
        before.replace_range(line..line.saturating_add(dotted.len()), &dotted);
        return;
    }
    let (head, mut start) = (format!("[{table}]"), 0_usize);
    for earlier in before.clone().split_inclusive('\n') {
        if earlier.trim_end_matches('\n').len() >= head.len() {
            return before.replace_range(start..start.saturating_add(head.len()), &head);
        }
        start = start.saturating_add(earlier.len());
    }
}

const TABLES: [&str; 3] = ["mesh", "node", "ports"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::PortRole;

    /// What is taken, and what is said of the rest.
    fn read(text: &str) -> (Config, Vec<String>) {
        let (config, refused) = Config::forgiving("node.toml", text);
        (config, refused.iter().map(|refusal| crate::node::chain(refusal)).collect())
    }

    fn prefix(config: &Config) -> String {
        config.mesh.prefix.map_or_else(String::new, |prefix| prefix.to_string())
    }

    #[test]
    fn a_misspelt_key_costs_that_key_alone() {
        let text = "[mesh]\nprefix = \"fd12:3456:789a::/64\"\nhelo = \"2s\"\n[node]\nhostname = \"a\"\n[ports]\neth3 = \"uplink\"\n";
        let (config, said) = read(text);
        assert_eq!(prefix(&config), "fd12:3456:789a::/64");
        assert_eq!(config.mesh.hello.to_string(), "1s");
        assert_eq!(config.node.hostname.as_deref(), Some("a"));
        assert_eq!(config.ports.get("eth3"), Some(&PortRole::Uplink));
        assert_eq!(
            said,
            [
                "node.toml is not a node.toml: TOML parse error at line 3, column 1 | 3 | helo = \"2s\" | ^^^^ unknown field `helo`, expected one of `prefix`, `hello`, `dead`, `bfd`"
            ]
        );
    }

    #[test]
    fn a_bad_host_name_or_port_leaves_the_node_in_its_mesh() {
        let text = "mesh.prefix = \"fd12:3456:789a::/64\"\r\n[node]\r\nhostname = \"Büro\"\r\n[ports]\r\neth0 = \"downlink\"\r\neth1 = \"off\"\r\n";
        let (config, said) = read(text);
        assert_eq!(prefix(&config), "fd12:3456:789a::/64");
        assert_eq!(config.node.hostname, None);
        assert_eq!(config.ports, [("eth1".to_owned(), PortRole::Off)].into());
        assert_eq!(
            said,
            [
                "node.toml is not a node.toml: TOML parse error at line 5, column 8 | 5 | eth0 = \"downlink\" | ^^^^^^^^^^ unknown variant `downlink`, expected one of `mesh`, `uplink`, `off`",
                "node.toml line 3: node.hostname = \"Büro\", allowed is 1 to 63 of a-z, 0-9 and -, no - at either end",
            ]
        );
    }

    #[test]
    fn timers_that_do_not_fit_each_other_are_both_the_usual_ones() {
        let (config, said) = read("[mesh]\nhello = \"9s\"\ndead = \"10s\"\nbfd = \"1h\"\n");
        let mesh = config.mesh;
        assert_eq!(
            [mesh.hello, mesh.dead, mesh.bfd].map(|span| span.to_string()),
            ["1s", "4s", "100ms"]
        );
        assert_eq!(
            said,
            [
                "node.toml line 3: mesh.dead = 10s, allowed is twice mesh.hello to 240s, whole seconds",
                "node.toml line 4: mesh.bfd = 1h, allowed is 10ms to 10s",
            ]
        );
    }

    #[test]
    fn a_table_that_is_not_known_is_told_and_what_is_in_it_goes_nowhere_else() {
        let text =
            "hostname = \"a\"\n[mash]\nprefix = \"fd12:3456:789a::/64\"\n[mesh]\nbfd = \"50ms\"\n";
        let (config, said) = read(text);
        assert_eq!((prefix(&config), config.node.hostname), (String::new(), None));
        assert_eq!(config.mesh.bfd.to_string(), "50ms");
        assert_eq!(
            said,
            [
                "node.toml line 1: hostname is not known here, allowed are the tables [mesh], [node] and [ports]",
                "node.toml line 2: mash is not known here, allowed are the tables [mesh], [node] and [ports]",
            ]
        );
    }

    #[test]
    fn a_table_may_be_named_in_each_of_tomls_ways() {
        let text = "node = { hostname = \"a\", nick = 1 }\nports.eth1 = \"off\"\n\n[mesh]\n\n\thello = \"2s\"\n        dead = \"9s\"\n";
        let (config, said) = read(text);
        assert_eq!(config.node.hostname.as_deref(), Some("a"));
        assert_eq!(config.ports, [("eth1".to_owned(), PortRole::Off)].into());
        let mesh = [config.mesh.hello, config.mesh.dead].map(|span| span.to_string());
        assert_eq!(mesh, ["2s", "9s"]);
        let [said] = said.as_slice() else { panic!("{said:?}") };
        assert!(said.contains("line 1, column 26 "), "{said}");
        assert!(said.contains("unknown field `nick`, expected `hostname`"), "{said}");
    }

    #[test]
    fn after_a_line_that_is_no_toml_nothing_is_taken() {
        let text =
            "[mesh]\nprefix = \"fd12:3456:789a::/64\"\nhello = \"2s\n[node]\nhostname = \"a\"\n";
        let (config, said) = read(text);
        assert_eq!(prefix(&config), "fd12:3456:789a::/64");
        assert_eq!((config.mesh.hello.to_string().as_str(), config.node.hostname), ("1s", None));
        let [said] = said.as_slice() else { panic!("{said:?}") };
        assert!(said.starts_with("node.toml is no TOML, only what stands before this line is taken: TOML parse error at line 3, column "), "{said}");
    }
}
