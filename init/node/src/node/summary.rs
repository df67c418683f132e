// SPDX-License-Identifier: Apache-2.0
//! From all facts to one phase, its sentence and the faults.

use super::supervisor::Service;
use super::way_down::{self, SAFE_STAGE};
use super::{Facts, Node};
use crate::channel::{AddressState, Port, PortRole, Wrong};
use crate::control::Condition;
use crate::service::ServiceName;
use crate::service::life::State;
use crate::service::spec::Kind;
use crate::status::{Fault, Phase, Status};
use crate::time::Time;

/// So many failures in a row of what pods need, and the node cannot run pods: the third rest is over.
const GIVEN_UP: u32 = 4;

/// The status that follows from what is known. `since` is the caller's.
pub(super) fn of(node: &Node) -> Status {
    let (phase, sentence) = phase(node);
    let new = |wrong: &Wrong| Fault {
        subject: wrong.subject.clone(),
        sentence: wrong.sentence.clone(),
        since: Time::default(),
    };
    Status {
        phase,
        sentence,
        faults: wrongs(node).iter().map(new).collect(),
        since: Time::default(),
    }
}

fn phase(node: &Node) -> (Phase, String) {
    if let Some(found) = going_down(node) {
        return found;
    }
    let services: Vec<(&ServiceName, &Service)> = node.services.needed().collect();
    if let Some((name, service)) = services.iter().find(|(_, service)| has_failed(service)) {
        return (
            Phase::Failed,
            format!("{name} failed {} times: {}", service.life.failures, service.last),
        );
    }
    if let Some((name, service)) = services.iter().find(|(_, service)| !service.has_been_up) {
        return (Phase::Booting, waits_for(node, name, service));
    }
    let pods = pods_in_words(&node.facts);
    let neighbours = full_neighbours(&node.facts);
    if neighbours == 0 {
        return (Phase::Isolated, format!("{}; {pods}", no_neighbour(&node.facts)));
    }
    let mesh =
        if neighbours == 1 { "1 neighbour".to_owned() } else { format!("{neighbours} neighbours") };
    if let Some((name, service)) = services.iter().find(|(_, service)| !service.life.is_up()) {
        return (Phase::Meshed, format!("{mesh}; {}", waits_for(node, name, service)));
    }
    let phase = if all_pods_run(&node.facts) { Phase::Ready } else { Phase::Meshed };
    (phase, format!("{mesh}; {pods}"))
}

fn going_down(node: &Node) -> Option<(Phase, String)> {
    let way = node.way_down?;
    if way.stage >= SAFE_STAGE {
        return Some(if node.is_on_disk() {
            let sentence = "all is stopped and on the disk: stick and power may be pulled";
            (Phase::Stopped, sentence.to_owned())
        } else {
            let end = way_down::end(way.goal);
            (
                Phase::Stopping,
                format!("not all is on the disk: pull nothing before the machine {end}"),
            )
        });
    }
    let names: Vec<String> = node.still_up(way.stage).iter().map(ToString::to_string).collect();
    let what = if names.is_empty() { "the services".to_owned() } else { names.join(", ") };
    Some((
        Phase::Stopping,
        format!("stopping {what} to {}, until {}", way_down::words(way.goal), way.until),
    ))
}

fn has_failed(service: &Service) -> bool {
    service.life.failures >= GIVEN_UP && !service.life.is_up()
}

/// The words of a service that is not up: what it waits for, since when, until when.
pub(super) fn waits_for(node: &Node, name: &ServiceName, service: &Service) -> String {
    let since = service.since;
    let aside = |words: &str| if words.is_empty() { String::new() } else { format!(" ({words})") };
    let last = aside(&service.last);
    let heard = if service.heard.is_empty() { last.clone() } else { aside(&service.heard) };
    match service.life.state {
        State::Stopped if service.wanted => {
            let missing = |name: &&ServiceName| {
                !node.services.get(*name).is_some_and(|found| found.has_been_up)
            };
            let names: Vec<&str> =
                service.spec.after.iter().filter(missing).map(ServiceName::as_str).collect();
            format!("{name} waits for {}", names.join(", "))
        }
        State::Stopped if service.spec.kind == Kind::Stop && service.life.instance == 0 => {
            format!("{name} is for the way down")
        }
        State::Stopped => format!("{name} is stopped"),
        State::Starting { give_up_at } if service.spec.kind != Kind::Service => {
            format!("{name} is at work since {since}, until {give_up_at}{heard}")
        }
        State::Starting { give_up_at } => {
            format!("waiting for {name} to answer since {since}, until {give_up_at}{heard}")
        }
        State::Running { .. } => format!("{name} runs since {since}"),
        State::Resting { until } => format!("{name} failed{last}, tries again at {until}"),
        State::Stopping { next_at, .. } => {
            format!("waiting for {name} to end since {since}, until {next_at}{last}")
        }
        State::Stuck { .. } => format!("{name} cannot be ended since {since}: the kernel holds it"),
        State::Done => format!("{name} is done since {since}"),
    }
}

fn wrongs(node: &Node) -> Vec<Wrong> {
    let mut all = node.refusals.clone();
    let goes_down = node.way_down.is_some();
    let unwell = node.services.unwell();
    all.extend(unwell.filter_map(|(name, service)| service_wrong(name, service, goes_down)));
    let facts = &node.facts;
    all.extend(facts.storage.iter().flat_map(|storage| storage.faults.iter().cloned()));
    all.extend(facts.network.faults.iter().cloned());
    all.extend(facts.network.ports.iter().filter_map(port_wrong));
    all.extend(facts.lights.faults.iter().cloned());
    all.extend(facts.log.faults.iter().cloned());
    if let Some(more) = all.len().checked_sub(MOST_FAULTS).filter(|more| *more > 0) {
        all.truncate(MOST_FAULTS);
        all.push(Wrong { subject: "node".into(), sentence: format!("{more} faults more") });
    }
    all
}

/// Nobody reads more of them, and each of the status's messages has a longest length.
const MOST_FAULTS: usize = 30;

/// What fails while it is being stopped anyway is no news; what keeps the node from ending well is.
fn service_wrong(name: &ServiceName, service: &Service, goes_down: bool) -> Option<Wrong> {
    let (failures, last) = (service.life.failures, &service.last);
    let sentence = match service.life.state {
        State::Stuck { .. } => "cannot be ended: the kernel holds it".to_owned(),
        State::Stopped if failures > 0 => format!("failed: {last}"),
        State::Resting { .. } | State::Starting { .. } | State::Stopping { .. }
            if failures > 0 && !goes_down =>
        {
            let times =
                if failures > 1 { format!(" {failures} times in a row") } else { "".into() };
            format!("failed{times}: {last}")
        }
        State::Stopped
        | State::Starting { .. }
        | State::Running { .. }
        | State::Resting { .. }
        | State::Stopping { .. }
        | State::Done => return None,
    };
    Some(Wrong { subject: format!("service {name}"), sentence })
}

fn port_wrong(port: &Port) -> Option<Wrong> {
    (port.address == AddressState::Duplicate).then(|| Wrong {
        subject: format!("port {}", port.name),
        sentence: "somebody on its cable has the same link-local address".into(),
    })
}

fn full_neighbours(facts: &Facts) -> usize {
    let is_full = |port: &&Port| port.neighbour.as_ref().is_some_and(|neighbour| neighbour.is_full);
    facts.network.ports.iter().filter(is_full).count()
}

fn no_neighbour(facts: &Facts) -> String {
    let mesh: Vec<&Port> =
        facts.network.ports.iter().filter(|port| port.role == PortRole::Mesh).collect();
    if mesh.is_empty() {
        return "no neighbour: this machine has no mesh port".into();
    }
    let listed = |with: bool| {
        let names: Vec<&str> = mesh
            .iter()
            .filter(|port| port.carrier == with)
            .map(|port| port.name.as_str())
            .collect();
        names.join(", ")
    };
    let (wired, bare) = (listed(true), listed(false));
    match (wired.is_empty(), bare.is_empty()) {
        (true, _) => format!("no neighbour: no cable on {bare}"),
        (false, true) => format!("no neighbour: no router answers on {wired}"),
        (false, false) => format!("no neighbour: no router answers on {wired}, no cable on {bare}"),
    }
}

fn all_pods_run(facts: &Facts) -> bool {
    facts.pods.as_ref().is_some_and(|pods| pods.running >= pods.wanted)
}

fn pods_in_words(facts: &Facts) -> String {
    match &facts.pods {
        None => "pods not seen yet".into(),
        Some(pods) if pods.running >= pods.wanted => {
            format!("{} of {} pods run", pods.running, pods.wanted)
        }
        Some(pods) => format!("{} of {} pods run, {}", pods.running, pods.wanted, pods.sentence),
    }
}

/// The way from power to ready, in order.
pub(super) fn conditions(node: &Node) -> Vec<Condition> {
    let up = |(name, service): (&ServiceName, &Service)| Condition {
        sentence: waits_for(node, name, service),
        name: format!("service {name}"),
        met: service.life.is_up(),
    };
    let mut all: Vec<Condition> = node.services.needed().map(up).collect();
    let neighbours = full_neighbours(&node.facts);
    let sentence =
        if neighbours == 0 { no_neighbour(&node.facts) } else { format!("{neighbours} full") };
    all.push(Condition { name: "a neighbour on a cable".into(), met: neighbours > 0, sentence });
    let (met, sentence) = (all_pods_run(&node.facts), pods_in_words(&node.facts));
    all.push(Condition { name: "the pods run".into(), met, sentence });
    all.extend(node.status.faults.iter().map(|fault| Condition {
        name: "no fault".into(),
        met: false,
        sentence: format!("{}: {}", fault.subject, fault.sentence),
    }));
    all
}
