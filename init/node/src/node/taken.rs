// SPDX-License-Identifier: Apache-2.0
//! What a worker reports, cut to what PID 1 can hand on: parts of it were written by others, a
//! router, a light, a file on a stick, and a message has a longest length.

use crate::brief::{brief, brief_to};
use crate::channel::{LightsReport, LogReport, NetworkReport, Port, Report, StorageReport, Wrong};

/// The report within its bounds.
pub(super) fn within_bounds(report: Report) -> Report {
    match report {
        Report::Pong { .. } => report,
        Report::Network(network) => Report::Network(NetworkReport {
            ports: network.ports.into_iter().take(MOST_PORTS).map(port).collect(),
            faults: wrongs(network.faults),
            ..network
        }),
        Report::Health(mut health) => {
            health.sentence = brief(&health.sentence);
            Report::Health(health)
        }
        Report::Pods(mut pods) => {
            pods.sentence = brief(&pods.sentence);
            Report::Pods(pods)
        }
        Report::Lights(lights) => Report::Lights(LightsReport {
            devices: lights.devices.iter().take(MOST_LIGHTS).map(|name| short(name)).collect(),
            faults: wrongs(lights.faults),
        }),
        Report::Log(log) => Report::Log(LogReport { faults: wrongs(log.faults), ..log }),
        Report::Storage(storage) => Report::Storage(StorageReport {
            state: storage.state.as_deref().map(short),
            data: storage.data.as_deref().map(short),
            identity: short(&storage.identity),
            faults: wrongs(storage.faults),
            ..storage
        }),
    }
}

fn port(mut port: Port) -> Port {
    (port.name, port.place) = (brief_to(NAME, &port.name), short(&port.place));
    if let Some(neighbour) = &mut port.neighbour {
        neighbour.router_id = brief_to(NAME, &neighbour.router_id);
        neighbour.state = brief_to(NAME, &neighbour.state);
    }
    port
}

fn wrongs(all: Vec<Wrong>) -> Vec<Wrong> {
    let short = |wrong: Wrong| Wrong {
        subject: brief_to(SUBJECT, &wrong.subject),
        sentence: brief(&wrong.sentence),
    };
    all.into_iter().take(MOST_WRONGS).map(short).collect()
}

fn short(text: &str) -> String {
    brief_to(SUBJECT, text)
}

/// A kernel's name of a link has 15 bytes, a router id as many.
const NAME: usize = 32;
/// A path in sysfs, a serial number: USB allows 126 characters, makers write eight.
const SUBJECT: usize = 100;
const MOST_PORTS: usize = 64;
const MOST_LIGHTS: usize = 32;
/// Of one worker.
const MOST_WRONGS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_with_a_long_word_in_it_is_cut_and_a_usual_one_is_not() {
        let wrong = |subject: &str, sentence: &str| Wrong {
            subject: subject.to_owned(),
            sentence: sentence.to_owned(),
        };
        let usual = Report::Lights(LightsReport {
            devices: vec!["20001234".to_owned()],
            faults: vec![wrong("blink(1) 20001234", "does not take orders: timed out")],
        });
        assert_eq!(within_bounds(usual.clone()), usual);
        let mad = Report::Lights(LightsReport {
            devices: vec!["x".repeat(200); 40],
            faults: vec![wrong(&"s".repeat(200), &"w".repeat(60_000)); 40],
        });
        let Report::Lights(cut) = within_bounds(mad) else { unreachable!() };
        assert_eq!((cut.devices.len(), cut.devices[0].len()), (32, 103));
        assert_eq!((cut.faults.len(), cut.faults[0].sentence.len()), (8, 603));
    }
}
