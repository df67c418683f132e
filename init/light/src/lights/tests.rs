// SPDX-License-Identifier: Apache-2.0
//! Lights that come, go, fail and hang, without a single device.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use kubermesh_node::light::Meaning;
use kubermesh_node::time::Span;

use super::*;
use crate::command::Report;
use crate::slot::Wire;

/// How a pretended light behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Well,
    Broken,
    /// The kernel gives up after five seconds.
    Hangs,
    /// It answers, after so many milliseconds.
    Slow(u64),
}

#[derive(Clone)]
struct Desk {
    sockets: Rc<RefCell<BTreeMap<String, (String, Mood)>>>,
    told: Rc<RefCell<Vec<(String, Report)>>>,
    now: Rc<Cell<u64>>,
}

struct Cord {
    path: String,
    desk: Desk,
}

type Ours = Lights<Desk, Box<dyn Fn() -> Time>>;

impl Desk {
    fn with(lights: &[(&str, &str, Mood)]) -> (Self, Ours) {
        let desk =
            Self { sockets: Rc::default(), told: Rc::default(), now: Rc::new(Cell::new(1000)) };
        lights.iter().for_each(|(path, serial, mood)| desk.plug(path, serial, *mood));
        let clock = Rc::clone(&desk.now);
        let clock: Box<dyn Fn() -> Time> = Box::new(move || Time::from_millis(clock.get()));
        let mut lights = Lights::new(desk.clone(), clock, Look::whole(Meaning::Booting));
        lights.look_around().unwrap();
        (desk, lights)
    }

    fn plug(&self, path: &str, serial: &str, mood: Mood) {
        self.sockets.borrow_mut().insert(path.into(), (serial.into(), mood));
    }

    fn pull(&self, path: &str) {
        self.sockets.borrow_mut().remove(path);
    }

    fn spend(&self, milliseconds: u64) {
        self.now.set(self.now.get().saturating_add(milliseconds));
    }

    /// Lets the lights have their turns until nothing is due within so many seconds.
    fn pass(&self, lights: &mut Ours, seconds: u64) {
        let end = Time::from_millis(self.now.get()).after(Span::from_secs(seconds));
        while let Some(due) = lights.due().filter(|due| *due <= end) {
            self.now.set(self.now.get().max(due.as_millis()));
            lights.turn();
        }
        self.now.set(self.now.get().max(end.as_millis()));
    }

    /// The commands that a light got since the last call.
    fn told(&self, path: &str) -> Vec<char> {
        let mut told = self.told.borrow_mut();
        let (of_it, others) = told.drain(..).partition(|(whose, _)| whose == path);
        *told = others;
        of_it.iter().map(|(_, report)| char::from(report[1])).collect()
    }
}

impl Bus for Desk {
    type Wire = Cord;

    fn plugged(&mut self) -> Result<Vec<Plugged>, Refusal> {
        let sockets = self.sockets.borrow();
        let light = |(path, (serial, _)): (&String, &(String, Mood))| Plugged {
            path: path.clone(),
            serial: serial.clone(),
        };
        Ok(sockets.iter().map(light).collect())
    }

    fn open(&mut self, path: &str) -> Result<Cord, Refusal> {
        let is_there = self.sockets.borrow().contains_key(path);
        let cord = Cord { path: path.into(), desk: self.clone() };
        is_there.then_some(cord).ok_or_else(|| Refusal("ENODEV".into()))
    }
}

impl Wire for Cord {
    fn send(&mut self, report: Report) -> Result<(), Refusal> {
        let mood = self.desk.sockets.borrow().get(&self.path).map(|(_, mood)| *mood);
        self.desk.spend(1);
        match mood {
            None => return Err(Refusal("ENODEV".into())),
            Some(Mood::Broken) => return Err(Refusal("EIO".into())),
            Some(Mood::Hangs) => {
                self.desk.spend(5000);
                return Err(Refusal("ETIMEDOUT".into()));
            }
            Some(Mood::Slow(milliseconds)) => self.desk.spend(milliseconds),
            Some(Mood::Well) => {}
        }
        self.desk.told.borrow_mut().push((self.path.clone(), report));
        Ok(())
    }
}

const ONE: &str = "/dev/hidraw0";
const TWO: &str = "/dev/hidraw1";

#[test]
fn no_light_at_all_is_no_fault_and_needs_no_turn() {
    let (_desk, lights) = Desk::with(&[]);
    assert_eq!(lights.due(), None);
    assert_eq!(lights.report(), LightsReport::default());
}

#[test]
fn two_lights_both_play_and_are_reported_by_serial_number() {
    let (desk, mut lights) =
        Desk::with(&[(ONE, "3B000001", Mood::Well), (TWO, "20000002", Mood::Well)]);
    desk.pass(&mut lights, 1);
    assert_eq!(lights.report().devices, ["20000002", "3B000001"]);
    assert!(lights.report().faults.is_empty());
    for path in [ONE, TWO] {
        let told = desk.told(path);
        assert_eq!((told.first(), told.last()), (Some(&'D'), Some(&'p')), "{told:?}");
    }
}

#[test]
fn a_light_that_is_pulled_leaves_no_fault_and_comes_back_at_another_socket() {
    let (desk, mut lights) = Desk::with(&[(ONE, "20000001", Mood::Well)]);
    desk.pass(&mut lights, 1);
    // It fails before the kernel says that it is gone.
    desk.pull(ONE);
    lights.show(Look::whole(Meaning::Ready));
    lights.turn();
    assert!(lights.report().faults.is_empty());
    lights.forget(ONE);
    lights.look_around().unwrap();
    assert_eq!(lights.report(), LightsReport::default());

    desk.plug(TWO, "20000001", Mood::Well);
    lights.look_around().unwrap();
    desk.pass(&mut lights, 1);
    assert_eq!(lights.report().devices, ["20000001"]);
    let told = desk.told(TWO);
    assert_eq!((told[0], told[told.len() - 1]), ('D', 'p'));
}

#[test]
fn a_light_pulled_and_put_back_under_the_same_name_is_told_everything_again() {
    let (desk, mut lights) = Desk::with(&[(ONE, "20000001", Mood::Well)]);
    desk.pass(&mut lights, 1);
    let first = desk.told(ONE);

    lights.forget(ONE);
    lights.look_around().unwrap();
    desk.pass(&mut lights, 1);

    assert_eq!(desk.told(ONE), first);
}

#[test]
fn a_light_that_gives_errors_is_told_as_a_fault_and_taken_back_when_it_is_well() {
    let (desk, mut lights) =
        Desk::with(&[(ONE, "20000001", Mood::Broken), (TWO, "20000002", Mood::Well)]);
    desk.pass(&mut lights, 3);
    let report = lights.report();
    assert_eq!(report.devices, ["20000002"]);
    assert_eq!(report.faults.len(), 1);
    assert_eq!(report.faults[0].subject, "blink(1) 20000001");
    assert_eq!(report.faults[0].sentence, "does not take orders: EIO");

    desk.plug(ONE, "20000001", Mood::Well);
    desk.pass(&mut lights, 31);
    assert_eq!(lights.report().devices, ["20000001", "20000002"]);
    assert!(lights.report().faults.is_empty());
}

#[test]
fn a_light_that_hangs_costs_one_transfer_a_turn_and_the_other_one_never_looks_dead() {
    let (desk, mut lights) =
        Desk::with(&[(ONE, "20000001", Mood::Hangs), (TWO, "20000002", Mood::Well)]);
    let mut told_at = vec![];
    while desk.now.get() < 120_000 {
        let before = desk.now.get().max(lights.due().unwrap().as_millis());
        desk.now.set(before);
        lights.turn();
        assert!(desk.now.get() - before <= 5001, "one turn took longer than one transfer");
        if desk.told(TWO).contains(&'D') {
            told_at.push(desk.now.get());
        }
    }
    let longest = told_at.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(longest < 15_000, "{longest} ms between two \"alive\"");
    let report = lights.report();
    assert_eq!(report.devices, ["20000002"]);
    assert_eq!(report.faults[0].sentence, "does not take orders: ETIMEDOUT");
}

#[test]
fn a_light_that_answers_too_slowly_is_dropped_with_both_numbers() {
    let (desk, mut lights) = Desk::with(&[(ONE, "", Mood::Slow(3999))]);
    desk.pass(&mut lights, 10);
    let faults = lights.report().faults;
    assert_eq!(faults[0].subject, "blink(1) at /dev/hidraw0");
    assert_eq!(faults[0].sentence, "took 4s for an order, allowed are 3s");
}

#[test]
fn a_new_look_reaches_a_light_that_comes_later() {
    let (desk, mut lights) = Desk::with(&[]);
    lights.show(Look::whole(Meaning::NoNeighbour));
    desk.plug(ONE, "20000001", Mood::Well);
    lights.look_around().unwrap();
    desk.pass(&mut lights, 1);
    let amber = [1, b'P', 255, 100, 0, 0, 1, 0, 0];
    assert!(desk.told.borrow().iter().any(|(_, report)| *report == amber));
}

#[test]
fn safe_to_unplug_is_the_last_word_and_no_turn_is_wanted_after_it() {
    let (desk, mut lights) = Desk::with(&[(ONE, "20000001", Mood::Well)]);
    desk.pass(&mut lights, 1);
    desk.told(ONE);
    lights.show(Look::whole(Meaning::SafeToUnplug));
    assert!(!lights.is_settled());
    desk.pass(&mut lights, 1);
    assert!(lights.is_settled());
    assert_eq!(desk.told(ONE), "DplPlPlPlPcp".chars().collect::<Vec<_>>());
    assert_eq!(lights.due(), None);
}

#[test]
fn lost_events_make_every_light_new() {
    let (desk, mut lights) = Desk::with(&[(ONE, "20000001", Mood::Well)]);
    desk.pass(&mut lights, 1);
    lights.forget_all();
    assert!(lights.report().devices.is_empty());
    lights.look_around().unwrap();
    desk.pass(&mut lights, 1);
    assert_eq!(lights.report().devices, ["20000001"]);
}
