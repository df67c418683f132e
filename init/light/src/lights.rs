// SPDX-License-Identifier: Apache-2.0
//! All lights of this machine: plugged in and pulled out at any time, told one transfer a turn.
//!
//! One transfer a turn, so that a light that blocks delays the worker's health answer by no more
//! than the kernel's own limit, and the others are told in between.

use std::collections::VecDeque;

use kubermesh_node::channel::LightsReport;
use kubermesh_node::light::Look;
use kubermesh_node::time::Time;

use crate::slot::{Bus, Plugged, Refusal, Slot};

/// The lights, whoever has waited longest first.
#[derive(Debug)]
pub(crate) struct Lights<B: Bus, C> {
    bus: B,
    clock: C,
    look: Look,
    slots: VecDeque<Slot<B::Wire>>,
}

impl<B: Bus, C: Fn() -> Time> Lights<B, C> {
    pub(crate) const fn new(bus: B, clock: C, look: Look) -> Self {
        Self { bus, clock, look, slots: VecDeque::new() }
    }

    /// Looks at what is plugged in. Lights that are gone are forgotten, with their faults.
    pub(crate) fn look_around(&mut self) -> Result<(), Refusal> {
        let plugged = self.bus.plugged()?;
        self.slots.retain(|slot| plugged.contains(&slot.plugged));
        let known: Vec<Plugged> = self.slots.iter().map(|slot| slot.plugged.clone()).collect();
        let now = (self.clock)();
        let new = plugged.into_iter().filter(|light| !known.contains(light));
        self.slots.extend(new.map(|light| Slot::new(light, now)));
        Ok(())
    }

    /// The kernel says that this device is gone; another one may have its name by now.
    pub(crate) fn forget(&mut self, path: &str) {
        self.slots.retain(|slot| slot.plugged.path != path);
    }

    /// Events were lost: any light may be another one by now.
    pub(crate) fn forget_all(&mut self) {
        self.slots.clear();
    }

    /// Shows this on all of them, also on those that come later.
    pub(crate) fn show(&mut self, look: Look) {
        if look == self.look {
            return;
        }
        self.look = look;
        let now = (self.clock)();
        self.slots.iter_mut().for_each(|slot| slot.show(look, now));
    }

    /// When the next turn is due.
    pub(crate) fn due(&self) -> Option<Time> {
        self.slots.iter().filter_map(Slot::due).min()
    }

    /// Whether all lights that can be told have been told.
    pub(crate) fn is_settled(&self) -> bool {
        self.slots.iter().all(Slot::is_settled)
    }

    /// At most one transfer, to the light that has waited longest.
    pub(crate) fn turn(&mut self) {
        let now = (self.clock)();
        let is_due = |slot: &Slot<B::Wire>| slot.due().is_some_and(|at| at <= now);
        let place = self.slots.iter().position(is_due);
        if let Some(mut slot) = place.and_then(|place| self.slots.remove(place)) {
            slot.turn(&mut self.bus, self.look, &self.clock);
            self.slots.push_back(slot);
        }
    }

    /// What PID 1 wants to know.
    pub(crate) fn report(&self) -> LightsReport {
        let answering = self.slots.iter().filter(|slot| slot.answers());
        let mut devices: Vec<String> = answering.map(|slot| slot.plugged.serial.clone()).collect();
        devices.sort_unstable();
        let mut faults: Vec<_> = self.slots.iter().filter_map(Slot::wrong).collect();
        faults.sort_unstable_by(|one, other| one.subject.cmp(&other.subject));
        LightsReport { devices, faults }
    }
}

#[cfg(test)]
mod tests;
