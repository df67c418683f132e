// SPDX-License-Identifier: Apache-2.0
//! All services together: every `after` names somebody, and somebody can start first.

use std::collections::{BTreeMap, BTreeSet};

use super::name::ServiceName;
use super::spec::{ServiceSpec, SpecError};

/// Where the image has its service files.
pub const FOLDER: &str = "/usr/lib/kubermesh/services";

/// Services that fit together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    services: BTreeMap<ServiceName, ServiceSpec>,
}

impl Catalog {
    /// Reads all files, `(name, text)` each. At boot a bad file must not take the others down, so
    /// all that fits is kept and each refusal is told: [`Catalog::strict`] is for who builds an image.
    #[must_use]
    pub fn lenient<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> (Self, Vec<SpecError>) {
        let mut catalog = Self::default();
        let mut refusals = Vec::new();
        for (file, text) in files {
            match ServiceSpec::parse(file, text) {
                Ok((name, spec)) => {
                    catalog.services.insert(name, spec);
                }
                Err(refusal) => refusals.push(refusal),
            }
        }
        while let Some((name, refusal)) = catalog.first_unfit() {
            catalog.services.remove(&name);
            refusals.push(refusal);
        }
        (catalog, refusals)
    }

    /// Reads all files; one that does not fit refuses the lot.
    ///
    /// # Errors
    /// The first refusal.
    pub fn strict<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, SpecError> {
        let (catalog, refusals) = Self::lenient(files);
        refusals.into_iter().next().map_or(Ok(catalog), Err)
    }

    /// One service.
    #[must_use]
    pub fn spec(&self, name: &ServiceName) -> Option<&ServiceSpec> {
        self.services.get(name)
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&ServiceName, &ServiceSpec)> {
        self.services.iter()
    }

    /// All, by name, for who keeps them.
    pub fn into_specs(self) -> impl Iterator<Item = (ServiceName, ServiceSpec)> {
        self.services.into_iter()
    }

    fn first_unfit(&self) -> Option<(ServiceName, SpecError)> {
        for (name, spec) in &self.services {
            if let Some(missing) =
                spec.after.iter().find(|wanted| !self.services.contains_key(*wanted))
            {
                let refusal = SpecError::UnknownService {
                    file: format!("{name}.toml"),
                    missing: missing.clone(),
                };
                return Some((name.clone(), refusal));
            }
        }
        let in_circle = self.circle()?;
        let first = in_circle.first()?.clone();
        let mut words: Vec<&str> = in_circle.iter().map(ServiceName::as_str).collect();
        words.push(first.as_str());
        Some((first.clone(), SpecError::Circle { circle: words.join(" after ") }))
    }

    /// Services of one circle, in order, where there is one.
    fn circle(&self) -> Option<Vec<ServiceName>> {
        let mut settled: BTreeSet<&ServiceName> = BTreeSet::new();
        loop {
            let fits =
                |spec: &ServiceSpec| spec.after.iter().all(|wanted| settled.contains(wanted));
            let next: Vec<_> = self
                .services
                .iter()
                .filter(|(name, spec)| !settled.contains(name) && fits(spec))
                .map(|(name, _)| name)
                .collect();
            if next.is_empty() {
                break;
            }
            settled.extend(next);
        }
        // What is left waits for something that is left: following it must come round.
        let mut path: Vec<&ServiceName> = Vec::new();
        let mut at = self.services.keys().find(|name| !settled.contains(name))?;
        while !path.contains(&at) {
            path.push(at);
            at = self.services.get(at)?.after.iter().find(|wanted| !settled.contains(wanted))?;
        }
        Some(path.into_iter().skip_while(|name| *name != at).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDS_B: &str = "command = [\"/a\"]\nafter = [\"b\"]\n";

    #[test]
    fn a_service_that_waits_for_nobody_known_is_refused_by_name() {
        let refusal = Catalog::strict([("a.toml", NEEDS_B)]).unwrap_err();
        assert_eq!(refusal.to_string(), "a.toml: after = \"b\", but there is no b.toml");
    }

    #[test]
    fn a_circle_is_told_as_a_circle() {
        let needs_a = "command = [\"/b\"]\nafter = [\"a\"]\n";
        let refusal = Catalog::strict([("a.toml", NEEDS_B), ("b.toml", needs_a)]).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "services wait for each other in a circle: a after b after a"
        );
    }

    #[test]
    fn at_boot_a_bad_file_takes_no_other_down() {
        let good = "command = [\"/c\"]\n";
        let (catalog, refusals) =
            Catalog::lenient([("a.toml", NEEDS_B), ("b.toml", "nonsense"), ("c.toml", good)]);
        assert_eq!(refusals.len(), 2);
        assert_eq!(catalog.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["c"]);
    }
}
