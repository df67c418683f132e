// SPDX-License-Identifier: Apache-2.0
//! A refusal as a person needs it: file, line, key, what is allowed.

use std::fmt;
use std::path::PathBuf;

use kubermesh_node::config::ConfigError;
use kubermesh_node::service::SpecError;
use serde_json::{Value, json};
use toml::de::{DeTable, DeValue};

use super::gather::File;

/// One thing that is wrong in one file.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) file: PathBuf,
    line: Option<usize>,
    sentence: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(out, "{line}:")?;
        }
        write!(out, " {}", self.sentence)
    }
}

impl Refusal {
    pub(super) fn of_config(file: &File, refusal: ConfigError) -> Self {
        match refusal {
            ConfigError::Unreadable { source, .. } | ConfigError::Broken { source, .. } => {
                Self::unreadable(file, &source)
            }
            ConfigError::Table { line, name, .. } => Self {
                file: file.path.clone(),
                line: Some(line),
                sentence: format!(
                    "{name} is not known here, allowed are [mesh], [node] and [ports]"
                ),
            },
            ConfigError::Range { key, given, allowed, .. } => {
                Self::range(file, key, &given, allowed)
            }
        }
    }

    /// `files` are all that were read together; the refusal names one of them.
    pub(super) fn of_service(files: &[&File], refusal: SpecError) -> Self {
        let sentence = refusal.to_string();
        let (name, told) = match refusal {
            SpecError::Unreadable { file, source } => (file, Told::Toml(source)),
            SpecError::Read { file, .. } | SpecError::FileName { file } => (file, Told::Key("")),
            SpecError::Range { file, key, given, allowed } => {
                (file, Told::Range(key, given, allowed))
            }
            SpecError::UnknownService { file, .. } => (file, Told::Key("after")),
            SpecError::Circle { circle } => {
                let first = circle.split(' ').next().unwrap_or_default();
                (format!("{first}.toml"), Told::Key("after"))
            }
        };
        let Some(file) = files.iter().find(|file| file.name() == name) else {
            return Self { file: name.into(), line: None, sentence };
        };
        match told {
            Told::Toml(source) => Self::unreadable(file, &source),
            Told::Range(key, given, allowed) => Self::range(file, key, &given, allowed),
            Told::Key(key) => {
                let bare = sentence.strip_prefix(&format!("{name}: "));
                let sentence = bare.unwrap_or(&sentence).to_owned();
                Self { file: file.path.clone(), line: line_of_key(&file.text, key), sentence }
            }
        }
    }

    pub(super) fn to_json(&self) -> Value {
        json!({ "file": self.file, "line": self.line, "sentence": self.sentence })
    }

    fn range(file: &File, key: &str, given: &str, allowed: &str) -> Self {
        let sentence = format!("{key} = {given}, allowed is {allowed}");
        Self { file: file.path.clone(), line: line_of_key(&file.text, key), sentence }
    }

    /// The line itself is shown: what serde says of a value does not name its key.
    fn unreadable(file: &File, source: &toml::de::Error) -> Self {
        let line = source.span().map(|span| line_at(&file.text, span.start));
        let shown = line
            .and_then(|line| file.text.lines().nth(line.saturating_sub(1)))
            .map(|text| format!("{}: ", text.trim()))
            .unwrap_or_default();
        let sentence = format!("{shown}{}", source.message());
        Self { file: file.path.clone(), line, sentence }
    }
}

enum Told {
    Toml(toml::de::Error),
    Range(&'static str, String, &'static str),
    Key(&'static str),
}

/// The line of `table.key`, or of the nearest part of it that is written down.
fn line_of_key(text: &str, key: &str) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let mut table = document.get_ref();
    let mut found = None;
    for part in key.split('.') {
        let Some((name, value)) = table.iter().find(|(name, _)| name.get_ref() == part) else {
            break;
        };
        found = Some(line_at(text, name.span().start));
        let DeValue::Table(inner) = value.get_ref() else { break };
        table = inner;
    }
    found
}

fn line_at(text: &str, offset: usize) -> usize {
    let before = text.bytes().take(offset);
    before.filter(|byte| *byte == b'\n').count().saturating_add(1)
}
