// SPDX-License-Identifier: Apache-2.0
//! The stick's node.toml: the documented example with a fresh mesh prefix.

use std::fs::File;
use std::io::Read;
use std::net::Ipv6Addr;

use anyhow::{Context, Result};
use kubermesh_node::config::Config;
use sha2::{Digest, Sha256};

/// What makes one stick differ from the next: a mesh's prefix and the names of the partitions.
#[derive(Clone, Debug)]
pub struct Seed(Vec<u8>);

impl Seed {
    /// The same words, the same stick.
    #[must_use]
    pub fn of(words: &str) -> Self {
        Self(words.as_bytes().to_vec())
    }

    /// A stick like no other.
    ///
    /// # Errors
    /// The machine gives no random bytes.
    pub fn random() -> Result<Self> {
        let mut bytes = vec![0; 32];
        File::open("/dev/urandom")
            .and_then(|mut source| source.read_exact(&mut bytes))
            .context("read /dev/urandom")?;
        Ok(Self(bytes))
    }

    /// Bytes for one use, unlike those for another.
    #[must_use]
    pub fn bytes(&self, purpose: &str) -> [u8; 32] {
        Sha256::new()
            .chain_update(purpose)
            .chain_update([0])
            .chain_update(&self.0)
            .finalize()
            .into()
    }
}

/// The example, with the prefix in it.
///
/// # Errors
/// The example is not one that a node would read.
pub fn example(seed: &Seed) -> Result<String> {
    let text = EXAMPLE.replace(PLACE_OF_PREFIX, &format!("{}/64", prefix(seed)));
    check("image/src/node.toml", &text)?;
    Ok(text)
}

/// Refuses what a node would refuse, by the code that reads it there.
///
/// # Errors
/// Line, key and what is allowed.
pub fn check(file: &str, text: &str) -> Result<()> {
    Config::parse(file, text)?;
    Ok(())
}

/// RFC 4193: fd, 40 random bits, 16 bits of subnet, which are random too.
fn prefix(seed: &Seed) -> Ipv6Addr {
    let mut address = [0; 16];
    address[0] = 0xfd;
    address[1..8].copy_from_slice(&seed.bytes("mesh prefix")[..7]);
    Ipv6Addr::from(address)
}

const EXAMPLE: &str = include_str!("node.toml");
/// In the example, where the prefix goes: an address for documentation, RFC 3849.
const PLACE_OF_PREFIX: &str = "2001:db8::/64";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stick_gets_a_mesh_of_its_own_and_a_seed_gives_it_again() {
        let line = |seed: &Seed| {
            let text = example(seed).unwrap();
            text.lines().find(|line| line.starts_with("prefix = \"fd")).unwrap().to_owned()
        };
        assert_ne!(line(&Seed::random().unwrap()), line(&Seed::random().unwrap()));
        assert_eq!(line(&Seed::of("a")), line(&Seed::of("a")));
        assert_ne!(line(&Seed::of("a")), line(&Seed::of("b")));
    }

    #[test]
    fn a_bad_file_is_refused_with_what_is_allowed() {
        let refusal = check("mine.toml", "[mesh]\nprefix = \"fd00::/48\"\n").unwrap_err();
        assert!(refusal.to_string().starts_with("mine.toml: mesh.prefix = fd00::/48, allowed is"));
    }
}
