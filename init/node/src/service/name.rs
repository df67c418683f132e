// SPDX-License-Identifier: Apache-2.0
//! The name of a service: its file's name without `.toml`.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// 1 to 32 characters `a-z`, `0-9` and `-`, the first a letter. It becomes a cgroup's and a
/// socket's name, so nothing else is allowed. Copies share their letters: PID 1 keeps many.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName(Arc<str>);

/// Why a text is no service name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{given}\" is not a service name: 1 to 32 of a-z, 0-9 and -, a letter first")]
pub struct NameError {
    given: String,
}

impl ServiceName {
    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for ServiceName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServiceName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let fits = (1..=32).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if fits { Ok(Self(text.into())) } else { Err(NameError { given: text.to_owned() }) }
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ServiceName {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        String::deserialize(source)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for ServiceName {
    fn serialize<S: Serializer>(&self, target: S) -> Result<S::Ok, S::Error> {
        target.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_leave_its_folder_is_refused() {
        for text in
            ["", "..", "a/b", "Kubelet", "-a", "1a", "a_b", "name-longer-than-thirty-two-letters"]
        {
            assert!(text.parse::<ServiceName>().is_err(), "{text} was taken for a name");
        }
        assert_eq!("kubelet".parse::<ServiceName>().unwrap().as_str(), "kubelet");
    }
}
