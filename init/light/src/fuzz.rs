// SPDX-License-Identifier: Apache-2.0
//! Ways in for the fuzz targets (`tests/fuzz`), which see no more of a crate than others do. Only
//! a build with `cfg(fuzzing)` has them.

use std::cell::Cell;
use std::rc::Rc;

use kubermesh_node::channel::LightsReport;
use kubermesh_node::light::{Look, Meaning};
use kubermesh_node::time::Time;

use crate::command::Report;
use crate::lights::Lights;
use crate::slot::{Bus, Plugged, Refusal, Wire};

/// What is reported of lights with these serial numbers that take orders, refuse or hang as
/// `answers` says, a byte for each transfer; and how many transfers there were.
#[must_use]
pub fn lights(serials: &[String], answers: &[u8]) -> (LightsReport, usize) {
    let (clock, sent) = (Rc::new(Cell::new(0_u64)), Rc::new(Cell::new(0_usize)));
    let bus = Usb {
        serials: serials.to_vec(),
        answers: Rc::from(answers),
        sent: Rc::clone(&sent),
        clock: Rc::clone(&clock),
    };
    let now = || Time::from_millis(clock.get());
    let mut lights = Lights::new(bus, now, Look::whole(Meaning::Booting));
    for byte in answers {
        if lights.look_around().is_err() {
            break;
        }
        if byte.is_multiple_of(16) {
            lights.show(Look::whole(Meaning::NoNeighbour));
        }
        let due = lights.due().map_or(0, Time::as_millis);
        clock.set(clock.get().max(due).saturating_add(1));
        let before = sent.get();
        lights.turn();
        assert!(sent.get() <= before.saturating_add(1), "more than one transfer in a turn");
    }
    (lights.report(), sent.get())
}

struct Usb {
    serials: Vec<String>,
    answers: Rc<[u8]>,
    sent: Rc<Cell<usize>>,
    clock: Rc<Cell<u64>>,
}

impl Usb {
    fn answer(&self) -> Result<(), Refusal> {
        let answer = self.answers.get(self.sent.get()).copied().unwrap_or_default();
        self.sent.set(self.sent.get().saturating_add(1));
        self.clock.set(self.clock.get().saturating_add(u64::from(answer / 4).saturating_mul(100)));
        if answer % 4 == 3 { Err(Refusal("no".to_owned())) } else { Ok(()) }
    }
}

impl Bus for Usb {
    type Wire = Light;

    fn plugged(&mut self) -> Result<Vec<Plugged>, Refusal> {
        let light = |(number, serial): (u32, &String)| Plugged {
            path: format!("/dev/hidraw{number}"),
            serial: serial.clone(),
        };
        Ok((0..).zip(&self.serials).map(light).collect())
    }

    fn open(&mut self, _path: &str) -> Result<Light, Refusal> {
        self.answer()?;
        Ok(Light(Usb {
            serials: Vec::new(),
            answers: Rc::clone(&self.answers),
            sent: Rc::clone(&self.sent),
            clock: Rc::clone(&self.clock),
        }))
    }
}

struct Light(Usb);

impl Wire for Light {
    fn send(&mut self, _report: Report) -> Result<(), Refusal> {
        self.0.answer()
    }
}
