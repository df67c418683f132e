// SPDX-License-Identifier: Apache-2.0
//! The services, a line each.

use kubermesh_node::control::ServicesView;
use kubermesh_node::time::Time;

use super::line::{Paint, clean, lasting};
use super::table::table;

/// A table of all services.
#[must_use]
pub fn services(view: &ServicesView, now: Time, paint: Paint) -> Vec<String> {
    let rows = view.services.iter().map(|service| {
        [
            service.name.to_string(),
            paint.word(&clean(&service.state)),
            lasting(now.since(service.since)),
            service.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
            service.starts.to_string(),
            service.failures.to_string(),
            clean(&service.sentence),
        ]
    });
    table(["SERVICE", "STATE", "FOR", "PID", "STARTS", "FAILURES", ""], rows.collect())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn two() -> ServicesView {
        serde_json::from_value(serde_json::json!({"services": [
            {"name": "bird", "state": "running", "pid": 123, "since": 4000, "starts": 1,
                "failures": 0, "sentence": ""},
            {"name": "kubelet", "state": "resting", "pid": null, "since": 60_000, "starts": 3,
                "failures": 3, "sentence": "ended with 1, starts again at 65.000s"},
        ]}))
        .unwrap()
    }

    #[test]
    fn a_service_tells_its_state_and_how_its_last_run_ended() {
        assert_eq!(
            services(&two(), Time::from_millis(64_000), Paint::Plain),
            [
                "SERVICE  STATE    FOR      PID  STARTS  FAILURES",
                "bird     running  1min 0s  123  1       0",
                "kubelet  resting  4s       -    3       3         ended with 1, starts again at 65.000s",
            ]
        );
    }
}
