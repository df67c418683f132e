// SPDX-License-Identifier: Apache-2.0
//! Who this node is: `identity.toml` on STATE, one `[[machine]]` for each that the stick was in.
//!
//! A copied stick in another machine makes its own; back in the first it is the first again.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use kubermesh_node::identity::Identity;
use rustix::rand::{GetRandomFlags, getrandom};
use serde::Deserialize;

use crate::error::StorageError;
use crate::hardware::Hardware;

/// All machines that this STATE knows, the latest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Machines {
    #[serde(default)]
    machine: Vec<Machine>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Machine {
    identity: Identity,
    /// The hash of its names, for a person to compare.
    hardware: Identity,
    names: Vec<String>,
}

/// What was found or made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The same machine as ever, or with a part changed.
    Known,
    /// The first machine of this STATE.
    First,
    /// STATE knows other machines, this is a new one.
    Another,
}

impl Machines {
    /// Reads the file; none of it is no machine.
    pub(crate) fn read(path: &Path) -> Result<Self, StorageError> {
        match File::open(path) {
            Err(refusal) if refusal.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(StorageError::Path { attempt: "open", path: path.into(), source }),
            Ok(file) => Self::parse(file, path),
        }
    }

    /// Reads an open file; `path` is its name in messages.
    pub(crate) fn parse(file: File, path: &Path) -> Result<Self, StorageError> {
        Self::from_text(&bounded(file, path, LIMIT_BYTES)?, path)
    }

    /// Reads the text of the file.
    pub(crate) fn from_text(text: &str, path: &Path) -> Result<Self, StorageError> {
        toml::from_str(text).map_err(|source| StorageError::Identity { path: path.into(), source })
    }

    /// Whether one of them is this machine.
    pub(crate) fn knows(&self, hardware: &Hardware) -> bool {
        self.place_of(hardware).is_some()
    }

    /// The identity of this machine: the known one, or `fresh`. Says whether the file must be written.
    pub(crate) fn settle(
        &mut self,
        hardware: &Hardware,
        fresh: Identity,
    ) -> (Identity, Found, bool) {
        let Some(at) = self.place_of(hardware) else {
            let found = if self.machine.is_empty() { Found::First } else { Found::Another };
            let (hash, names) = (hardware.hash(), hardware.names().to_vec());
            self.machine.insert(0, Machine { identity: fresh, hardware: hash, names });
            self.machine.truncate(MOST_MACHINES);
            return (fresh, found, true);
        };
        let mut known = self.machine.remove(at);
        // Part after part may be changed over the years; one that is only late is not forgotten.
        let is_changed =
            known.names != hardware.names() && known.names.len() <= hardware.names().len();
        if is_changed {
            known.names = hardware.names().to_vec();
            known.hardware = hardware.hash();
        }
        let identity = known.identity;
        self.machine.insert(0, known);
        (identity, Found::Known, is_changed || at != 0)
    }

    /// Puts the file in its place whole or not at all, also when the power goes.
    pub(crate) fn write(&self, path: &Path) -> Result<(), StorageError> {
        let folder = path.parent().unwrap_or(Path::new("/"));
        let next = path.with_extension("next");
        let attempt = || {
            let mut file = File::create(&next)?;
            file.write_all(self.text().as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&next, path)?;
            File::open(folder)?.sync_all()
        };
        attempt().map_err(|source| StorageError::Path {
            attempt: "write",
            path: path.into(),
            source,
        })
    }

    fn place_of(&self, hardware: &Hardware) -> Option<usize> {
        self.machine.iter().position(|machine| {
            Hardware::from_names(machine.names.clone()).is_same_machine(hardware)
        })
    }

    pub(crate) fn text(&self) -> String {
        let mut text =
            "# Written by kubermesh storage. The first machine is the latest.\n".to_owned();
        for machine in &self.machine {
            let names: Vec<_> = machine.names.iter().map(|name| quoted(name)).collect();
            let (identity, hardware) = (machine.identity, machine.hardware);
            text +=
                &format!("\n[[machine]]\nidentity = \"{identity}\"\nhardware = \"{hardware}\"\n");
            text += &format!("names = [{}]\n", names.join(", "));
        }
        text
    }
}

/// A basic string of TOML. `hardware` lets no quote into a name, but who else wrote on the stick?
fn quoted(name: &str) -> String {
    let escaped = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        control if control.is_control() => format!("\\u{:04x}", u32::from(control)),
        plain => plain.to_string(),
    };
    format!("\"{}\"", name.chars().map(escaped).collect::<String>())
}

/// A new identity: 128 bits from the kernel, which by then has enough of them.
pub(crate) fn random_bits() -> Result<u128, StorageError> {
    let mut bytes = [0; 16];
    let told = |source| StorageError::System { attempt: "get random bits", source };
    // Up to 256 bytes come whole (getrandom(2)).
    getrandom(&mut bytes[..], GetRandomFlags::empty()).map_err(told)?;
    Ok(u128::from_be_bytes(bytes))
}

/// The text of a file of at most `limit` bytes.
pub(crate) fn bounded(file: File, path: &Path, limit: u64) -> Result<String, StorageError> {
    let mut bytes = Vec::new();
    let told = |source| StorageError::Path { attempt: "read", path: path.into(), source };
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(told)?;
    if bytes.len() as u64 > limit {
        return Err(StorageError::TooLong { path: path.into(), limit });
    }
    let is_control = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r');
    let text = String::from_utf8(bytes).ok().filter(|text| !text.contains(is_control));
    text.ok_or_else(|| StorageError::NotText { path: path.into() })
}

/// Anyone may have written the stick: 64 KiB are a thousand times what is needed.
const LIMIT_BYTES: u64 = 64 * 1024;
const MOST_MACHINES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(names: &[&str]) -> Hardware {
        Hardware::from_names(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn a_copied_stick_makes_another_identity_and_back_home_is_the_first_again() {
        let (home, away) = (machine(&["mac a"]), machine(&["mac b"]));
        let (one, two) = (Identity::from_bits(1), Identity::from_bits(2));
        let mut machines = Machines::default();
        assert_eq!(machines.settle(&home, one), (one, Found::First, true));
        assert_eq!(machines.settle(&home, two), (one, Found::Known, false));
        assert_eq!(machines.settle(&away, two), (two, Found::Another, true));
        assert_eq!(machines.settle(&home, Identity::from_bits(3)), (one, Found::Known, true));
    }

    #[test]
    fn ports_may_be_changed_one_after_the_other_until_none_is_left() {
        let one = Identity::from_bits(1);
        let mut machines = Machines::default();
        machines.settle(&machine(&["mac a", "mac b"]), one);
        for names in [["mac b", "mac c"], ["mac c", "mac d"]] {
            let (identity, found, _) = machines.settle(&machine(&names), Identity::from_bits(9));
            assert_eq!((identity, found), (one, Found::Known));
        }
    }

    #[test]
    fn the_file_is_read_as_it_was_written_and_a_foreign_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity.toml");
        let mut machines = Machines::read(&path).unwrap();
        machines.settle(&machine(&["serial G6/1.2:3", "mac 00:11"]), Identity::from_bits(0xabc));
        machines.write(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("identity = \"00000000000000000000000000000abc\""), "{text}");
        assert!(text.contains("names = [\"mac 00:11\", \"serial G6/1.2:3\"]"), "{text}");
        assert_eq!(Machines::read(&path).unwrap(), machines);
        std::fs::write(&path, "# \u{1}").unwrap();
        assert!(matches!(Machines::read(&path), Err(StorageError::NotText { .. })));
        std::fs::write(&path, vec![b'#'; 70_000]).unwrap();
        assert!(matches!(Machines::read(&path), Err(StorageError::TooLong { limit: 65536, .. })));
    }

    #[test]
    fn a_name_with_quotes_that_somebody_wrote_into_the_file_does_not_break_it() {
        let text = "[[machine]]\nidentity = \"00000000000000000000000000000abc\"\n\
            hardware = \"00000000000000000000000000000def\"\nnames = ['mac \"a\\', \"b\\u0007\"]\n";
        let path = Path::new("identity.toml");
        let mut machines = Machines::from_text(text, path).unwrap();
        machines.settle(&machine(&["mac c"]), Identity::from_bits(7));
        assert_eq!(Machines::from_text(&machines.text(), path).unwrap(), machines);
        assert!(machines.text().contains(r#"["mac \"a\\", "b\u0007"]"#), "{}", machines.text());
    }
}
