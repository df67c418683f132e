// SPDX-License-Identifier: Apache-2.0
//! From a service file's text to a [`ServiceSpec`] that cannot hold nonsense.

use super::name::ServiceName;
use super::spec::{PLACEHOLDERS, ServiceSpec, SpecError};
use crate::time::Span;

impl ServiceSpec {
    /// Reads one file; its name without `.toml` is the service's name.
    ///
    /// # Errors
    /// The file's name, no TOML, an unknown key, a value outside its range: each with what is allowed.
    pub fn parse(file: &str, text: &str) -> Result<(ServiceName, Self), SpecError> {
        let name = file
            .strip_suffix(".toml")
            .and_then(|stem| stem.parse().ok())
            .ok_or_else(|| SpecError::FileName { file: file.to_owned() })?;
        let mut spec: Self = toml::from_str(text)
            .map_err(|source| SpecError::Unreadable { file: file.to_owned(), source })?;
        spec.check_ranges(file)?;
        // PID 1 holds it for good.
        spec.command.shrink_to_fit();
        spec.command.iter_mut().for_each(String::shrink_to_fit);
        spec.after.shrink_to_fit();
        Ok((name, spec))
    }

    fn check_ranges(&self, file: &str) -> Result<(), SpecError> {
        let refuse = |key, given: String, allowed| {
            Err(SpecError::Range { file: file.to_owned(), key, given, allowed })
        };
        let program = self.command.first().map_or("", String::as_str);
        if !program.starts_with('/') {
            return refuse(
                "command",
                format!("{:?}", self.command),
                "an absolute path and its arguments",
            );
        }
        if let Some(word) = self.command.iter().find_map(|argument| unknown_placeholder(argument)) {
            return refuse(
                "command",
                format!("${{{word}}}"),
                "${node_address}, ${hostname}, ${router_id}",
            );
        }
        let ways = self.ready.ways();
        if ways > 1 {
            return refuse(
                "ready",
                format!("{ways} ways"),
                "one of notify, newline, http, tcp, cri, bird, ping",
            );
        }
        for (key, given, least, most, allowed) in self.spans() {
            if !(least..=most).contains(&given) {
                return refuse(key, given.to_string(), allowed);
            }
        }
        self.check_counts(file)
    }

    fn check_counts(&self, file: &str) -> Result<(), SpecError> {
        let refuse = |key, given: String, allowed| {
            Err(SpecError::Range { file: file.to_owned(), key, given, allowed })
        };
        if !(1..=16).contains(&self.restart.rests.len()) {
            return refuse(
                "restart.rests",
                format!("{} rests", self.restart.rests.len()),
                "1 to 16 rests",
            );
        }
        if !(1..=9).contains(&self.stop.stage) {
            return refuse("stop.stage", self.stop.stage.to_string(), "1 to 9");
        }
        if !(-999..=1000).contains(&self.resources.oom_score) {
            return refuse(
                "resources.oom_score",
                self.resources.oom_score.to_string(),
                "-999 to 1000",
            );
        }
        if let Some(cgroup) = &self.resources.cgroup
            && !is_cgroup(cgroup)
        {
            return refuse("resources.cgroup", cgroup.clone(), CGROUP);
        }
        if let Some(pods) = &self.pods
            && !is_cgroup(&pods.cgroup)
        {
            return refuse("pods.cgroup", pods.cgroup.clone(), CGROUP);
        }
        let Some(health) = &self.health else { return Ok(()) };
        if health.check.count() > 1 || self.health_check().is_none() {
            let given = format!("{} ways", health.check.count());
            return refuse(
                "health",
                given,
                "one of http, tcp, cri, bird, ping, here or in [ready]",
            );
        }
        if !(1..=100).contains(&health.failures) {
            return refuse("health.failures", health.failures.to_string(), "1 to 100");
        }
        Ok(())
    }

    /// Each span of the file: key, value, least, most, and both in words.
    fn spans(&self) -> Vec<(&'static str, Span, Span, Span, &'static str)> {
        let hour = Span::from_secs(3600);
        let second = Span::from_secs(1);
        let mut spans = vec![
            ("ready.within", self.ready.within, second, Span::from_secs(600), "1s to 10min"),
            (
                "stop.within",
                self.stop.within,
                Span::from_millis(100),
                Span::from_secs(300),
                "100ms to 5min",
            ),
            ("restart.steady_after", self.restart.steady_after, second, hour, "1s to 1h"),
        ];
        for rest in self.restart.rests.iter() {
            spans.push(("restart.rests", *rest, Span::default(), hour, "0s to 1h each"));
        }
        if let Some(health) = &self.health {
            spans.push(("health.every", health.every, second, hour, "1s to 1h"));
            let least = Span::from_millis(100);
            spans.push((
                "health.timeout",
                health.timeout,
                least,
                health.every,
                "100ms to health.every",
            ));
        }
        if let Some(pods) = &self.pods {
            spans.push(("pods.every", pods.every, second, hour, "1s to 1h"));
        }
        spans
    }
}

const CGROUP: &str = "names of a-z, 0-9 and - joined by /";

fn is_cgroup(path: &str) -> bool {
    path.split('/').all(|part| part.parse::<ServiceName>().is_ok())
}

fn unknown_placeholder(argument: &str) -> Option<&str> {
    let mut words = argument.split("${").skip(1).map(|rest| rest.split('}').next().unwrap_or(rest));
    words.find(|word| !PLACEHOLDERS.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        let error = ServiceSpec::parse("kubelet.toml", text).unwrap_err();
        let cause =
            std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        format!("{error}{cause}")
    }

    #[test]
    fn a_whole_service_file_is_understood() {
        let text = r#"
            command = ["/usr/bin/kubelet", "--node-ip=${node_address}"]
            after = ["containerd"]
            [ready]
            http = "http://[::1]:10248/healthz"
            within = "3min"
            [health]
            every = "10s"
            failures = 3
            [stop]
            kill = "main"
            signal = "QUIT"
            [resources]
            memory_min = "96MiB"
            oom_score = -450
        "#;
        let (name, spec) = ServiceSpec::parse("kubelet.toml", text).unwrap();
        assert_eq!(name.as_str(), "kubelet");
        assert_eq!(spec.resources.memory_min.0, 100_663_296);
        assert_eq!(spec.health_check(), spec.readiness_check());
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_what_is_allowed() {
        let said = refusal("command = [\"/bin/x\"]\n[ready]\nhtpp = \"http://x\"\n");
        assert!(
            said.contains("kubelet.toml") && said.contains("line 2") || said.contains("line 3"),
            "{said}"
        );
        assert!(said.contains("htpp"), "{said}");
    }

    #[test]
    fn a_value_outside_its_range_is_refused_with_the_range() {
        let said = refusal("command = [\"/bin/x\"]\n[ready]\nwithin = \"20min\"\n");
        assert_eq!(said, "kubelet.toml: ready.within = 20min, allowed is 1s to 10min");
        let said = refusal("command = [\"x\"]\n");
        assert_eq!(
            said,
            "kubelet.toml: command = [\"x\"], allowed is an absolute path and its arguments"
        );
        let said = refusal("command = [\"/bin/x\", \"${nope}\"]\n");
        assert_eq!(
            said,
            "kubelet.toml: command = ${nope}, allowed is ${node_address}, ${hostname}, ${router_id}"
        );
    }
}
