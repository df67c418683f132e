// SPDX-License-Identifier: Apache-2.0
//! What the machine's owner wishes: `kubermesh/node.toml` on the boot stick.
//!
//! Strict and small; every key is optional. What is wrong is told with line, key and what is allowed.
//! `kubermesh check` and the builder of an image refuse such a file ([`Config::parse`]); a node takes
//! what is good of it ([`Config::forgiving`]).

mod forgiving;

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use serde::{Deserialize, Serialize};

use crate::channel::PortRole;
use crate::time::Span;

/// The whole of node.toml.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `[node]`: this machine.
    #[serde(default)]
    pub node: NodeConfig,
    /// `[mesh]`: what all machines of a mesh agree on.
    #[serde(default)]
    pub mesh: MeshConfig,
    /// `[ports]`: by kernel name or place, `mesh`, `uplink` or `off`.
    #[serde(default)]
    pub ports: BTreeMap<String, PortRole>,
}

/// `[node]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// 1 to 63 of a-z, 0-9 and -, RFC 1123. Default: from the identity.
    #[serde(default)]
    pub hostname: Option<String>,
}

/// `[mesh]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeshConfig {
    /// The /64 of the nodes' addresses. `make usb` writes a random one.
    #[serde(default)]
    pub prefix: Option<Ipv6Net>,
    /// OSPF hello, 1s to 60s, whole seconds.
    #[serde(default = "MeshConfig::default_hello")]
    pub hello: Span,
    /// OSPF dead interval, whole seconds, at least twice hello, to 240s.
    #[serde(default = "MeshConfig::default_dead")]
    pub dead: Span,
    /// BFD's interval, 10ms to 10s.
    #[serde(default = "MeshConfig::default_bfd")]
    pub bfd: Span,
}

/// Why node.toml was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No TOML, an unknown key, a value of the wrong kind.
    #[error("{file} is not a node.toml")]
    Unreadable {
        /// Which file.
        file: String,
        /// Line, key, what is allowed.
        source: toml::de::Error,
    },
    /// No TOML from some line on.
    #[error("{file} is no TOML, only what stands before this line is taken")]
    Broken {
        /// Which file.
        file: String,
        /// Line, and what was expected there.
        source: toml::de::Error,
    },
    /// A table of another name, or a key outside all tables.
    #[error(
        "{file} line {line}: {name} is not known here, allowed are the tables [mesh], [node] and [ports]"
    )]
    Table {
        /// Which file.
        file: String,
        /// Where.
        line: usize,
        /// As it was read.
        name: String,
    },
    /// A value outside its range.
    #[error("{file}: {key} = {given}, allowed is {allowed}")]
    Range {
        /// Which file.
        file: String,
        /// Which key, with its table.
        key: &'static str,
        /// As it was read.
        given: String,
        /// In words.
        allowed: &'static str,
    },
}

/// The mesh of those who chose none. It is one for all of them, so it is told as a fault.
pub const DEFAULT_PREFIX: Ipv6Net =
    Ipv6Net::new_assert(Ipv6Addr::new(0xfd6b, 0x6d65, 0x7368, 0, 0, 0, 0, 0), 64);

impl MeshConfig {
    const fn default_hello() -> Span {
        Span::from_secs(1)
    }

    const fn default_dead() -> Span {
        Span::from_secs(4)
    }

    const fn default_bfd() -> Span {
        Span::from_millis(100)
    }
}

impl Default for MeshConfig {
    fn default() -> Self {
        Self {
            prefix: None,
            hello: Self::default_hello(),
            dead: Self::default_dead(),
            bfd: Self::default_bfd(),
        }
    }
}

impl Config {
    /// Reads a node.toml; `file` is its name in messages.
    ///
    /// # Errors
    /// No TOML, an unknown key, a value outside its range: each with what is allowed.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text)
            .map_err(|source| ConfigError::Unreadable { file: file.to_owned(), source })?;
        config.check_ranges(file)?;
        Ok(config)
    }

    fn check_ranges(&self, file: &str) -> Result<(), ConfigError> {
        let refuse = |key, given: String, allowed| {
            Err(ConfigError::Range { file: file.to_owned(), key, given, allowed })
        };
        if let Some(hostname) = &self.node.hostname
            && !is_hostname(hostname)
        {
            return refuse(
                "node.hostname",
                format!("\"{hostname}\""),
                "1 to 63 of a-z, 0-9 and -, no - at either end",
            );
        }
        if let Some(prefix) = self.mesh.prefix
            && (prefix.prefix_len() != 64
                || prefix.network() != prefix.addr()
                || !is_unicast(prefix.addr()))
        {
            return refuse(
                "mesh.prefix",
                prefix.to_string(),
                "a unicast /64 such as fd12:3456:789a::/64",
            );
        }
        let (hello, dead) = (self.mesh.hello.as_millis(), self.mesh.dead.as_millis());
        if hello % 1000 != 0 || !(1000..=60_000).contains(&hello) {
            return refuse("mesh.hello", self.mesh.hello.to_string(), "1s to 60s, whole seconds");
        }
        if dead % 1000 != 0 || dead < hello.saturating_mul(2) || dead > 240_000 {
            return refuse(
                "mesh.dead",
                self.mesh.dead.to_string(),
                "twice mesh.hello to 240s, whole seconds",
            );
        }
        if !(10..=10_000).contains(&self.mesh.bfd.as_millis()) {
            return refuse("mesh.bfd", self.mesh.bfd.to_string(), "10ms to 10s");
        }
        Ok(())
    }
}

fn is_hostname(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_unicast(address: Ipv6Addr) -> bool {
    !address.is_unspecified()
        && !address.is_multicast()
        && !address.is_loopback()
        && !address.is_unicast_link_local()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_a_whole_configuration() {
        let config = Config::parse("node.toml", "").unwrap();
        assert_eq!(config.mesh.hello.to_string(), "1s");
        assert_eq!(config.mesh.dead.to_string(), "4s");
        assert_eq!(config.mesh.bfd.to_string(), "100ms");
    }

    #[test]
    fn a_bad_value_is_refused_with_what_is_allowed() {
        for (text, said) in [
            (
                "[mesh]\nprefix = \"fd00::/48\"",
                "node.toml: mesh.prefix = fd00::/48, allowed is a unicast /64 such as fd12:3456:789a::/64",
            ),
            (
                "[mesh]\nhello = \"1500ms\"",
                "node.toml: mesh.hello = 1500ms, allowed is 1s to 60s, whole seconds",
            ),
            (
                "[mesh]\ndead = \"1s\"",
                "node.toml: mesh.dead = 1s, allowed is twice mesh.hello to 240s, whole seconds",
            ),
            (
                "[node]\nhostname = \"Büro\"",
                "node.toml: node.hostname = \"Büro\", allowed is 1 to 63 of a-z, 0-9 and -, no - at either end",
            ),
        ] {
            assert_eq!(Config::parse("node.toml", text).unwrap_err().to_string(), said);
        }
    }

    #[test]
    fn an_unknown_key_is_told_with_line_and_the_keys_that_are_allowed() {
        let refusal = Config::parse("node.toml", "[mesh]\n\nprefx = \"fd00::/64\"").unwrap_err();
        let cause = std::error::Error::source(&refusal).unwrap().to_string();
        assert!(cause.contains("line 3"), "{cause}");
        assert!(cause.contains("prefx") && cause.contains("`prefix`"), "{cause}");
    }
}
