// SPDX-License-Identifier: Apache-2.0
//! Answers to the control socket.

use serde::Serialize;
use serde_json::{Value, json};

use super::{Node, summary};
use crate::channel::Order;
use crate::control::{INTERFACE, LightView, NodeView, Request, ServiceView, ServicesView, WhyView};
use crate::effect::Effect;
use crate::event::Goal;
use crate::light::{Look, Meaning};
use crate::service::ServiceName;
use crate::service::life::{self, State};
use crate::time::{Span, Time};
use crate::varlink::Reply;

/// Longer is a light that somebody forgot.
const IDENTIFY_LIMIT: Span = Span::from_secs(3600);

impl Node {
    pub(super) fn asked(
        &mut self,
        client: u64,
        request: &Request,
        is_root: bool,
        now: Time,
        effects: &mut Vec<Effect>,
    ) {
        let reply = match request {
            Request::Status {} => answer(&self.node_view(now)),
            Request::Why {} => answer(&WhyView { conditions: summary::conditions(self) }),
            Request::Services {} => answer(&self.services_view()),
            Request::Links {} => answer(&self.facts.network),
            Request::Light {} => answer(&self.light_view()),
            Request::Identify { .. }
            | Request::Restart { .. }
            | Request::Reboot {}
            | Request::PowerOff {}
            | Request::UpgradeInit {}
                if !is_root =>
            {
                refusal("NotAllowed", json!({"sentence": "this is for root"}))
            }
            Request::Identify { lasts } => self.identify(*lasts, effects),
            Request::Restart { service } => self.restart(service, now, effects),
            Request::Reboot {} => self.go(Goal::Reboot, now, effects),
            Request::PowerOff {} => self.go(Goal::PowerOff, now, effects),
            Request::UpgradeInit {} if self.way_down.is_some() => on_its_way_down(),
            Request::UpgradeInit {} => {
                effects.push(Effect::Rehearse { client });
                return;
            }
        };
        effects.push(Effect::Answer { client, reply });
    }

    fn go(&mut self, goal: Goal, now: Time, effects: &mut Vec<Effect>) -> Reply {
        self.leave(goal, now, effects);
        Reply { parameters: json!({}), ..Reply::default() }
    }

    fn identify(&self, lasts: Span, effects: &mut Vec<Effect>) -> Reply {
        if lasts > IDENTIFY_LIMIT {
            return refusal(
                "Refused",
                json!({"sentence": format!("lasts = {lasts}, allowed is 0s to 1h")}),
            );
        }
        effects.extend(self.tell("light", Order::Identify { lasts }));
        Reply { parameters: json!({}), ..Reply::default() }
    }

    fn restart(&mut self, name: &ServiceName, now: Time, effects: &mut Vec<Effect>) -> Reply {
        let Some(service) = self.services.get(name) else {
            return refusal("NoSuchService", json!({"service": name}));
        };
        if self.way_down.is_some() {
            return on_its_way_down();
        }
        if service.life.state == State::Stopped {
            let sentence = summary::waits_for(self, name, service);
            return refusal("Refused", json!({ "sentence": sentence }));
        }
        self.step_life(name, life::Event::Restart, now, effects);
        Reply { parameters: json!({}), ..Reply::default() }
    }

    fn node_view(&self, now: Time) -> NodeView {
        let plan = self.plan.as_ref();
        NodeView {
            hostname: plan.map_or_else(String::new, |plan| plan.hostname.clone()),
            address: plan.map_or_else(String::new, |plan| plan.mesh.address.to_string()),
            router_id: plan.map_or_else(String::new, |plan| plan.mesh.router_id.to_string()),
            identity: plan.map_or_else(String::new, |plan| plan.identity.to_string()),
            version: self.version.clone(),
            now,
            word: self.status.word().to_owned(),
            status: self.status.clone(),
            pods: self.facts.pods.clone().unwrap_or_default(),
            log: self.facts.log.clone(),
            recoveries: self.recoveries,
        }
    }

    fn services_view(&self) -> ServicesView {
        let view = |(name, service): (&ServiceName, &super::supervisor::Service)| ServiceView {
            name: name.clone(),
            state: word(service.life.state, service.wanted).to_owned(),
            pid: service.pid,
            since: service.since,
            starts: service.life.instance,
            failures: service.life.failures,
            sentence: summary::waits_for(self, name, service),
        };
        ServicesView { services: self.services.iter().map(view).collect() }
    }

    fn light_view(&self) -> LightView {
        LightView {
            shows: Meaning::of(&self.status).name().to_owned(),
            words: Look::of(&self.status).words(),
            lights: self.facts.lights.clone(),
        }
    }
}

const fn word(state: State, wanted: bool) -> &'static str {
    match state {
        State::Stopped if wanted => "waiting",
        State::Stopped => "stopped",
        State::Starting { .. } => "starting",
        State::Running { .. } => "running",
        State::Resting { .. } => "resting",
        State::Stopping { .. } => "stopping",
        State::Stuck { .. } => "stuck",
        State::Done => "done",
    }
}

fn answer(view: &impl Serialize) -> Reply {
    match serde_json::to_value(view) {
        Ok(parameters) => Reply { parameters, ..Reply::default() },
        Err(refused) => refusal("Refused", json!({"sentence": refused.to_string()})),
    }
}

fn on_its_way_down() -> Reply {
    refusal("Refused", json!({"sentence": "the node is on its way down"}))
}

fn refusal(name: &str, parameters: Value) -> Reply {
    Reply { parameters, error: Some(format!("{INTERFACE}.{name}")), continues: false }
}
