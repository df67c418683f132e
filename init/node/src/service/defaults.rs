// SPDX-License-Identifier: Apache-2.0
//! What a service file means where it is silent, and the two units that TOML has not.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::spec::{
    Bytes, Check, Checks, Health, Ready, Resources, Restart, ServiceSpec, Stop, Ways,
};
use crate::time::Span;

impl Ready {
    /// Long enough for a Go program on a small machine with a cold disk.
    pub(super) const fn default_within() -> Span {
        Span::from_secs(60)
    }

    /// How many ways are named. More than one is refused.
    pub(crate) fn ways(&self) -> usize {
        let spoken = [self.notify, self.newline].into_iter().filter(|named| *named).count();
        spoken.saturating_add(self.check.count())
    }
}

impl Default for Ready {
    fn default() -> Self {
        Self {
            notify: false,
            newline: false,
            check: Checks::default(),
            within: Self::default_within(),
        }
    }
}

impl Health {
    /// A program that answers nothing for so long is not merely busy.
    pub(super) const fn default_timeout() -> Span {
        Span::from_secs(5)
    }
}

impl Restart {
    /// At once at first, since most crashes are single ones; then slower, so that a program that
    /// cannot start takes no machine down with it.
    pub(super) const fn default_rests() -> Cow<'static, [Span]> {
        const RESTS: [Span; 4] =
            [Span::from_millis(0), Span::from_secs(1), Span::from_secs(5), Span::from_secs(30)];
        Cow::Borrowed(&RESTS)
    }

    /// Longer than the longest rest, or a program that dies once a minute would never rest.
    pub(super) const fn default_steady_after() -> Span {
        Span::from_secs(300)
    }
}

impl Default for Restart {
    fn default() -> Self {
        Self { rests: Self::default_rests(), steady_after: Self::default_steady_after() }
    }
}

impl Stop {
    /// Ours end in milliseconds; what needs longer says so.
    pub(super) const fn default_within() -> Span {
        Span::from_secs(10)
    }

    /// After the pods, before what records and shows the end.
    pub(super) const fn default_stage() -> u8 {
        5
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self {
            signal: Default::default(),
            within: Self::default_within(),
            kill: Default::default(),
            stage: Self::default_stage(),
        }
    }
}

impl Default for Resources {
    fn default() -> Self {
        Self { cgroup: None, memory_min: Bytes(0), memory_max: Bytes(0), oom_score: 0 }
    }
}

impl Checks {
    /// The one check that is named, as what `probe` is told; none where none is.
    #[must_use]
    pub fn check(&self) -> Option<Check> {
        let ways = self.0.as_deref()?;
        let all = [
            ways.http.clone().map(Check::Http),
            ways.tcp.clone().map(Check::Tcp),
            ways.cri.clone().map(Check::Cri),
            ways.bird.clone().map(Check::Bird),
            ways.ping.clone().map(Check::Ping),
        ];
        all.into_iter().flatten().next()
    }

    /// How many ways are named. More than one is refused.
    pub(super) fn count(&self) -> usize {
        self.0.as_deref().map_or(0, Ways::count)
    }
}

impl Ways {
    fn count(&self) -> usize {
        [&self.http, &self.tcp, &self.cri, &self.bird, &self.ping].into_iter().flatten().count()
    }
}

impl From<Ways> for Checks {
    fn from(ways: Ways) -> Self {
        Self((ways.count() > 0).then(|| Box::new(ways)))
    }
}

impl Serialize for Checks {
    fn serialize<S: Serializer>(&self, target: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(ways) => ways.serialize(target),
            None => Ways::default().serialize(target),
        }
    }
}

impl ServiceSpec {
    /// What `probe` asks while it starts, and later where `[health]` names nothing else.
    #[must_use]
    pub fn readiness_check(&self) -> Option<Check> {
        self.ready.check.check()
    }

    /// What `probe` asks while it runs; none where there is no `[health]`.
    #[must_use]
    pub fn health_check(&self) -> Option<Check> {
        self.health
            .as_ref()
            .and_then(|health| health.check.check().or_else(|| self.readiness_check()))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let text = String::deserialize(source)?;
        parse_bytes(&text).map(Self).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "\"{text}\" is not a size: write a whole number and KiB, MiB or GiB"
            ))
        })
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, target: S) -> Result<S::Ok, S::Error> {
        target.collect_str(&self.0)
    }
}

fn parse_bytes(text: &str) -> Option<u64> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(unit_at)?;
    let count: u64 = digits.parse().ok()?;
    let scale = match unit {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    count.checked_mul(scale)
}
