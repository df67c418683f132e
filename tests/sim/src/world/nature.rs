// SPDX-License-Identifier: Apache-2.0
//! What happens to a machine from outside: devices, cables, keys, clients, a clock that jumps; and its healing.

use super::agenda::Happening;
use crate::kernel::{Machine, Thing};
use crate::signals::Came;

impl Machine {
    pub(crate) fn nature_goes_on(&mut self) {
        if self.is_calm {
            return;
        }
        match self.chance.below(100) {
            0..=39 => self.client_comes(),
            40..=54 => self.device_comes(),
            55..=61 => self.input_comes_or_goes(),
            62..=63 => (0..40).for_each(|_| self.device_comes()),
            64..=75 => {
                let is_plugged = self.chance.one_in(2);
                self.moves_cable(is_plugged);
            }
            76..=77 => self.clock_jumps(),
            78..=79 if self.chance.one_in(40) => {
                let signals = [Came::Term, Came::CtrlAltDel, Came::Power];
                let signal = signals[self.chance.index(3)];
                self.told(|| format!("> signal {signal:?}"));
                self.raise(signal);
            }
            80 if self.chance.one_in(40) => self.key_is_pressed(),
            _ => {}
        }
        let within = self.chance.below(1_200_000);
        self.later(within, Happening::Nature);
    }

    fn device_comes(&mut self) {
        let alias = format!("usb:v{:03}", self.chance.below(400));
        self.aliases.insert(alias.clone());
        self.announces(&[("ACTION", "add"), ("MODALIAS", alias.as_str())]);
    }

    fn input_comes_or_goes(&mut self) {
        let name = format!("event{}", self.chance.below(4));
        if self.inputs.remove(&name).is_some() {
            self.told(|| format!("> {name} is unplugged"));
            let mut gone = Vec::new();
            for (id, slot) in &mut self.things {
                if let Thing::Key { name: found, is_gone, .. } = &mut slot.thing
                    && *found == name
                {
                    *is_gone = true;
                    gone.push(*id);
                }
            }
            return gone.into_iter().for_each(|id| self.news(id));
        }
        let has_key = self.chance.one_in(2);
        self.told(|| format!("> {name} is plugged, power key: {has_key}"));
        self.inputs.insert(name.clone(), has_key);
        self.announces(&[("ACTION", "add"), ("DEVNAME", &format!("input/{name}"))]);
    }

    fn key_is_pressed(&mut self) {
        let found = self.things.iter_mut().find_map(|(id, slot)| match &mut slot.thing {
            Thing::Key { pressed, .. } => Some((*id, pressed)),
            _ => None,
        });
        if let Some((id, pressed)) = found {
            *pressed = true;
            self.told(|| "> the power key is pressed".into());
            self.news(id);
        }
    }

    /// The machine slept, or its host held it: CLOCK_BOOTTIME went on, nothing else did.
    fn clock_jumps(&mut self) {
        let by = self.chance.below(400_000_000);
        self.tally.jumps += 1;
        self.told(|| format!("> the clock goes on by {} s at once", by / 1_000_000));
        self.now += by;
        if let Some((_, fed_at)) = &mut self.watchdog {
            *fed_at += by;
        }
        self.clients.values_mut().for_each(|client| client.is_patient(by));
    }

    /// Nothing is refused any more, nobody is in D state, and all is plugged.
    pub(crate) fn heal(&mut self) {
        self.is_calm = true;
        let stuck = self.processes.iter().filter(|(_, process)| process.is_stuck);
        let stuck: Vec<(u32, u64)> = stuck.map(|(pid, process)| (*pid, process.serial)).collect();
        for (pid, serial) in stuck {
            let within = self.chance.below(10_000_000);
            self.later(within, Happening::GetsLoose { pid, serial });
        }
        self.moves_cable(true);
    }
}
