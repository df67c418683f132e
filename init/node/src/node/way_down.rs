// SPDX-License-Identifier: Apache-2.0
//! The way down: services are stopped stage by stage, each with a deadline; then the machine leaves.
//!
//! ```text
//! 1 kubelet ► 2 stop-pods ► 3 containerd ► 5 the rest ► 6 log ► 7 unmount ► "safe to unplug" ► 9 light ► leave
//! ```
//!
//! The numbers are in the services' files. A service that cannot be ended is told and passed over.

use serde::{Deserialize, Serialize};

use super::Node;
use super::supervisor::Service;
use crate::effect::Effect;
use crate::event::Goal;
use crate::service::ServiceName;
use crate::service::life::{self, State};
use crate::service::spec::Kind;
use crate::time::{Span, Time};

/// How far the way down has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WayDown {
    pub(super) goal: Goal,
    /// The stage that is being stopped; 0 before the first, above 9 when all are.
    pub(super) stage: u8,
    /// Then it is passed over.
    pub(super) until: Time,
}

impl WayDown {
    pub(super) fn wakes_at(&self) -> Option<Time> {
        (self.stage <= LAST_STAGE).then_some(self.until)
    }
}

/// Everything shall be unmounted before this stage begins: from here on, where it is, stick and
/// power may be pulled.
pub(super) const SAFE_STAGE: u8 = 8;
const LAST_STAGE: u8 = 9;

/// The tasks of this stage write everything back and unmount.
const DISK_STAGE: u8 = 7;

/// Beside a stage's own longest `[stop] within`: for the kill after it, and a process in D state.
const STAGE_MARGIN: Span = Span::from_secs(7);

impl Node {
    /// Begins the way down; a second wish changes only where it leads.
    pub(super) fn leave(&mut self, goal: Goal, now: Time, effects: &mut Vec<Effect>) {
        match &mut self.way_down {
            Some(way) => way.goal = goal,
            None => {
                self.way_down = Some(WayDown { goal, stage: 0, until: now });
                self.services
                    .change_those(|service| service.wanted, |_, service| service.wanted = false);
                effects.push(Effect::Say(format!("on the way down, to {}", words(goal))));
            }
        }
    }

    /// Goes on to the next stage when this one is down, or late.
    pub(super) fn go_down(&mut self, now: Time, effects: &mut Vec<Effect>) {
        while let Some(way) = self.way_down {
            if way.stage > LAST_STAGE {
                return;
            }
            let waits_for = self.still_up(way.stage);
            if way.stage > 0 && !waits_for.is_empty() && now < way.until {
                return;
            }
            effects.extend(
                waits_for
                    .iter()
                    .map(|name| Effect::Say(format!("{name} does not end, passed over"))),
            );
            self.enter_stage(way.stage.saturating_add(1), way.goal, now, effects);
        }
    }

    /// Who of this stage still runs.
    pub(super) fn still_up(&self, stage: u8) -> Vec<ServiceName> {
        let is_up = |service: &Service| match service.life.state {
            State::Starting { .. } | State::Running { .. } | State::Stopping { .. } => true,
            State::Stopped | State::Resting { .. } | State::Stuck { .. } | State::Done => false,
        };
        let here = self
            .services
            .iter()
            .filter(|(_, service)| service.spec.stop.stage == stage && is_up(service));
        here.map(|(name, _)| name.clone()).collect()
    }

    /// Whatever else went wrong: the disks are unmounted, and with them all is written back.
    pub(super) fn is_on_disk(&self) -> bool {
        let mut unmounts = self
            .services
            .values()
            .filter(|service| {
                service.spec.kind == Kind::Stop && service.spec.stop.stage == DISK_STAGE
            })
            .peekable();
        let has_disks = self
            .facts
            .storage
            .as_ref()
            .is_some_and(|storage| storage.state.is_some() || storage.data.is_some());
        // A node whose file of that task could not be read has disks, and nobody who unmounts them.
        (unmounts.peek().is_some() || !has_disks)
            && unmounts.all(|service| service.life.state == State::Done)
    }

    fn enter_stage(&mut self, stage: u8, goal: Goal, now: Time, effects: &mut Vec<Effect>) {
        let here: Vec<ServiceName> = self
            .services
            .iter()
            .filter(|(_, service)| service.spec.stop.stage == stage)
            .map(|(name, _)| name.clone())
            .collect();
        let longest = here
            .iter()
            .filter_map(|name| self.services.get(name))
            .map(|service| service.spec.stop.within)
            .max();
        let until = now.after(longest.unwrap_or_default()).after(STAGE_MARGIN);
        self.way_down = Some(WayDown { goal, stage, until });
        if stage == SAFE_STAGE || stage > LAST_STAGE {
            // The light shows it before its own stage stops it; and behind the last step nothing is told any more.
            self.summarise(now, effects);
        }
        if stage == DISK_STAGE {
            let pods = self.services.values().filter_map(|service| service.spec.pods.as_ref());
            effects.extend(pods.map(|pods| Effect::KillGroup { cgroup: pods.cgroup.clone() }));
        }
        for name in here {
            let is_task =
                self.services.get(&name).is_some_and(|service| service.spec.kind == Kind::Stop);
            let event = if is_task { life::Event::Start } else { life::Event::Stop };
            self.step_life(&name, event, now, effects);
        }
        if stage > LAST_STAGE {
            effects.push(Effect::Leave(goal));
        }
    }
}

pub(super) const fn words(goal: Goal) -> &'static str {
    match goal {
        Goal::Reboot => "start again",
        Goal::PowerOff => "switch off",
    }
}

/// What the machine does at the end.
pub(super) const fn end(goal: Goal) -> &'static str {
    match goal {
        Goal::Reboot => "starts again",
        Goal::PowerOff => "is off",
    }
}
