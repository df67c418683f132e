// SPDX-License-Identifier: Apache-2.0
//! Moments and lengths of time: milliseconds since the kernel started.
//!
//! Arithmetic saturates, so that no clock, however wrong, can overflow anything. What is
//! deliberately absent: reading a clock. `sense` does that and hands the moment in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment: milliseconds of CLOCK_BOOTTIME, `clock_gettime(2)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(u64);

impl Time {
    /// The moment `milliseconds` after the kernel started.
    #[must_use]
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(milliseconds)
    }

    /// Milliseconds since the kernel started.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The moment one span later; the end of time where that would overflow.
    #[must_use]
    pub const fn after(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// How long after `earlier` this is; nothing where it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{:03}s", self.0 / 1000, self.0 % 1000)
    }
}

/// A length of time in milliseconds. In TOML a string: `"250ms"`, `"10s"`, `"3min"`, `"1h"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(u64);

impl Span {
    /// A span of so many milliseconds.
    #[must_use]
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(milliseconds)
    }

    /// A span of so many seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Its length in milliseconds.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Span {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => write!(out, "0s"),
            whole if whole % 3_600_000 == 0 => write!(out, "{}h", whole / 3_600_000),
            whole if whole % 60_000 == 0 => write!(out, "{}min", whole / 60_000),
            whole if whole % 1000 == 0 => write!(out, "{}s", whole / 1000),
            odd => write!(out, "{odd}ms"),
        }
    }
}

/// Why a text is not a span.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{given}\" is not a length of time: write a whole number and ms, s, min or h, as in \"10s\""
)]
pub struct SpanError {
    given: String,
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let refused = || SpanError { given: text.to_owned() };
        let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(refused)?;
        let (digits, unit) = text.split_at(unit_at);
        let count: u64 = digits.parse().map_err(|_| refused())?;
        let milliseconds = match unit {
            "ms" => Some(count),
            "s" => count.checked_mul(1000),
            "min" => count.checked_mul(60_000),
            "h" => count.checked_mul(3_600_000),
            _ => None,
        };
        milliseconds.map(Self).ok_or_else(refused)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        String::deserialize(source)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, target: S) -> Result<S::Ok, S::Error> {
        target.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_read_and_written_with_its_unit() {
        for (text, milliseconds) in
            [("250ms", 250), ("10s", 10_000), ("3min", 180_000), ("2h", 7_200_000)]
        {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.as_millis(), milliseconds);
            assert_eq!(span.to_string(), text);
        }
    }

    #[test]
    fn a_span_without_unit_or_beyond_all_clocks_is_refused() {
        for text in ["", "10", "s", "1.5s", "-3s", "18446744073709551615h", "5 s"] {
            assert!(text.parse::<Span>().is_err(), "{text} was taken for a span");
        }
    }
}
