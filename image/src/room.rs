// SPDX-License-Identifier: Apache-2.0
//! What takes the room of a UKI, biggest first; and too big is refused.

use std::fmt;
use std::path::Path;

use anyhow::{Result, ensure};
use serde::Serialize;

use crate::tree::{Node, Tree};

/// What takes how much.
#[derive(Clone, Debug, Serialize)]
pub struct Room {
    /// Of the UKI, as packed.
    pub parts: Vec<Share>,
    /// Of the root, before packing: its biggest files and folders.
    pub root: Vec<Share>,
}

/// One part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Share {
    /// Which.
    pub name: String,
    /// How big.
    pub bytes: u64,
}

impl Room {
    /// Sorts the parts and looks through the root.
    ///
    /// # Errors
    /// A file of the root cannot be read.
    pub fn of(parts: &[(&str, usize)], root: &Tree) -> Result<Self> {
        let parts = parts.iter().map(|(name, bytes)| Share::new(name, *bytes as u64));
        Ok(Self { parts: biggest_first(parts.collect()), root: shares(root)? })
    }

    /// The whole UKI.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }

    /// Refuses a UKI that some machines would not start.
    ///
    /// # Errors
    /// It is too big; the biggest are named.
    pub fn check(&self) -> Result<()> {
        let total = self.total();
        let biggest: Vec<String> =
            self.root.iter().take(3).map(|share| format!("/{share}")).collect();
        ensure!(
            total < MOST_BYTES,
            "the UKI has {} MB, allowed are {}: some machines refuse more; biggest on the root: {}",
            megabytes(total),
            megabytes(MOST_BYTES),
            biggest.join(", ")
        );
        Ok(())
    }
}

impl Share {
    fn new(name: &str, bytes: u64) -> Self {
        Self { name: name.to_owned(), bytes }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} MB", self.name, megabytes(self.bytes))
    }
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "UKI {} MB:", megabytes(self.total()))?;
        for part in &self.parts {
            writeln!(f, "  {:>7} MB  {}", megabytes(part.bytes), part.name)?;
        }
        writeln!(f, "the root before packing:")?;
        for share in &self.root {
            writeln!(f, "  {:>7} MB  /{}", megabytes(share.bytes), share.name)?;
        }
        Ok(())
    }
}

/// Files of a megabyte and more by themselves, the rest by the folder that holds it.
fn shares(root: &Tree) -> Result<Vec<Share>> {
    let mut shares: std::collections::BTreeMap<String, u64> = std::collections::BTreeMap::new();
    for (path, node) in root.iter() {
        if let Node::File(content, _) = node {
            let bytes = content.size()?;
            let name = if bytes >= WORTH_NAMING { path.to_owned() } else { folder_of(path) };
            *shares.entry(name.display().to_string()).or_default() += bytes;
        }
    }
    let shares = shares.into_iter().map(|(name, bytes)| Share { name, bytes }).collect();
    Ok(biggest_first(shares).into_iter().take(MOST_ROWS).collect())
}

fn folder_of(path: &Path) -> std::path::PathBuf {
    let folder = path.parent().unwrap_or(Path::new(""));
    folder.components().take(3).collect()
}

fn biggest_first(mut shares: Vec<Share>) -> Vec<Share> {
    shares.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
    shares
}

fn megabytes(bytes: u64) -> String {
    format!("{}.{}", bytes / 1_000_000, bytes % 1_000_000 / 100_000)
}

/// The firmware of some small machines refuses a larger file.
const MOST_BYTES: u64 = 150_000_000;
const WORTH_NAMING: u64 = 1_000_000;
const MOST_ROWS: usize = 15;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Content;

    #[test]
    fn a_uki_over_150_megabytes_is_refused_with_what_takes_the_room() {
        let mut root = Tree::default();
        root.add_file("usr/bin/kube", Content::Bytes(vec![0; 2_500_000]), true).unwrap();
        root.add_file("usr/lib/a", Content::Bytes(vec![0; 10]), false).unwrap();
        let room = |bytes| Room::of(&[("kernel", 1), ("root", bytes)], &root).unwrap();

        room(149_999_998).check().unwrap();
        assert_eq!(
            room(150_000_000).check().unwrap_err().to_string(),
            "the UKI has 150.0 MB, allowed are 150.0: some machines refuse more; \
             biggest on the root: /usr/bin/kube 2.5 MB, /usr/lib 0.0 MB"
        );
    }
}
