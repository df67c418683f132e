// SPDX-License-Identifier: Apache-2.0
//! The machines on the desk in a line, and what a person does to them. Node i's port 1 is joined with node i+1's port 0.

use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use anyhow::{Context, Result};
use kubermesh_qemu::blink1::{Blink1, Kind, Led, Seen};
use kubermesh_qemu::{Cable, Machine, Nic, Recipe, Stick};

use crate::Run;
use crate::event::{Event, forward};

/// All machines and cables.
pub(crate) struct Mesh {
    // Lights before machines: a light whose machine is gone would look for it.
    lights: Vec<Blink1>,
    machines: Vec<Machine>,
    cables: Vec<Joint>,
}

struct Joint {
    cable: Cable,
    plugged: bool,
}

/// What a status line tells of one node.
pub(crate) struct Look {
    pub(crate) name: String,
    pub(crate) on: bool,
    pub(crate) light_plugged: bool,
    pub(crate) colours: [kubermesh_qemu::blink1::Colour; 2],
    pub(crate) seen: [Seen; 2],
    /// To the node before and to the node after, where there is one: whether it is plugged.
    pub(crate) cables: [Option<bool>; 2],
}

impl Mesh {
    /// Boots them all.
    pub(crate) fn boot(wish: &Run, tell: &Sender<Event>) -> Result<Self> {
        let mut mesh = Self { lights: Vec::new(), machines: Vec::new(), cables: Vec::new() };
        for number in 0..wish.nodes {
            mesh.add(number, wish, tell)?;
        }
        for pair in mesh.machines.windows(2) {
            let cable = Cable::between(pair[0].port(1)?, pair[1].port(0)?)?;
            mesh.cables.push(Joint { cable, plugged: true });
        }
        mesh.machines.iter().try_for_each(Machine::power_on)?;
        Ok(mesh)
    }

    fn add(&mut self, number: usize, wish: &Run, tell: &Sender<Event>) -> Result<()> {
        let stick = Stick::from_image(&wish.usb);
        let stick = wish.stick_mib.map_or(stick.clone(), |size_mib| stick.size_mib(size_mib));
        let mut recipe = Recipe::new(&format!("node{}", number + 1))
            .memory_mib(wish.memory_mib)
            .nics(&[Nic::Virtio, Nic::Virtio])
            .stick(stick);
        if let Some(accelerator) = wish.accelerator() {
            recipe = recipe.accelerator(accelerator);
        }
        if let Some(words) = &wish.cmdline {
            recipe = recipe.cmdline(words);
        }
        let machine = recipe.make()?;
        let (tap, output) = channel();
        machine.serial().tap(tap);
        forward(output, tell.clone(), move |bytes| Event::Output(number, bytes))?;
        let light = Blink1::new(Kind::Mk2, u32::try_from(number + 1)?)?;
        let (watcher, told) = channel();
        light.watch(watcher);
        forward(told, tell.clone(), |()| Event::Light)?;
        light.plug(machine.light_socket(0))?;
        self.machines.push(machine);
        self.lights.push(light);
        Ok(())
    }

    /// How many nodes there are.
    pub(crate) fn count(&self) -> usize {
        self.machines.len()
    }

    /// Whether any of them has power.
    pub(crate) fn is_on(&self) -> bool {
        self.machines.iter().any(Machine::is_on)
    }

    /// What there is to see of a node.
    pub(crate) fn look(&self, number: usize) -> Look {
        let (machine, light) = (&self.machines[number], &self.lights[number]);
        let cable = |joint: Option<usize>| {
            joint.and_then(|joint| self.cables.get(joint)).map(|joint| joint.plugged)
        };
        Look {
            name: machine.name().to_owned(),
            on: machine.is_on(),
            light_plugged: light.is_plugged(),
            colours: Led::BOTH.map(|led| light.colour(led)),
            seen: Led::BOTH.map(|led| light.seen(led, EYE)),
            cables: [cable(number.checked_sub(1)), cable(Some(number))],
        }
    }

    /// How long until a light changes by itself; `None` while all are steady.
    pub(crate) fn next_change(&self) -> Option<Duration> {
        let wait = |light: &Blink1| Some(light.next_change()?.saturating_sub(light.now()));
        self.lights.iter().filter_map(wait).min()
    }

    /// Types into a node's serial port.
    pub(crate) fn type_bytes(&self, number: usize, bytes: &[u8]) -> Result<()> {
        self.machines[number].serial().type_bytes(bytes)
    }

    /// Pulls or puts back the cable before (0) or after (1) a node.
    pub(crate) fn toggle_cable(&mut self, number: usize, side: usize) -> Result<String> {
        let joint =
            (number + side).checked_sub(1).context("there is no cable before the first node")?;
        let (name, next) = (format!("node{}", joint + 1), format!("node{}", joint + 2));
        let joint = self.cables.get_mut(joint).context("there is no cable after the last node")?;
        joint.plugged = !joint.plugged;
        if joint.plugged {
            joint.cable.plug()?
        } else {
            joint.cable.pull()?
        }
        let word = if joint.plugged { "plugged in" } else { "pulled" };
        Ok(format!("the cable {name} to {next} is {word}"))
    }

    /// Pulls out or plugs in a node's light.
    pub(crate) fn toggle_light(&self, number: usize) -> Result<String> {
        let (machine, light) = (&self.machines[number], &self.lights[number]);
        if light.is_plugged() {
            light.unplug();
            return Ok(format!("the blink(1) of {} is pulled out", machine.name()));
        }
        light.plug(machine.light_socket(0))?;
        Ok(format!("the blink(1) of {} is plugged in", machine.name()))
    }

    /// Presses the power button; a node that is off is switched on.
    pub(crate) fn power_button(&self, number: usize) -> Result<String> {
        let machine = &self.machines[number];
        if machine.is_on() {
            machine.power_button()?;
            return Ok(format!("power button of {}", machine.name()));
        }
        machine.power_cut()?;
        machine.power_on()?;
        Ok(format!("{} is switched on", machine.name()))
    }

    /// Cuts or restores a node's power.
    pub(crate) fn toggle_power(&self, number: usize) -> Result<String> {
        let machine = &self.machines[number];
        if machine.is_on() {
            machine.power_cut()?;
            return Ok(format!("the power of {} is cut", machine.name()));
        }
        self.power_button(number)
    }

    /// Presses Ctrl-Alt-Del.
    pub(crate) fn ctrl_alt_del(&self, number: usize) -> Result<String> {
        self.machines[number].ctrl_alt_del()?;
        Ok(format!("Ctrl-Alt-Del on {}", self.machines[number].name()))
    }

    /// Presses the reset button.
    pub(crate) fn reset(&self, number: usize) -> Result<String> {
        self.machines[number].reset()?;
        Ok(format!("reset of {}", self.machines[number].name()))
    }
}

/// Two periods of the slowest rhythm that a person would wait for.
const EYE: Duration = Duration::from_secs(5);
