// SPDX-License-Identifier: Apache-2.0
//! One node's life as its blink(1) showed it, from the first breath to "safe to unplug" and after it. A stock BIRD is
//! its neighbour.
//!
//! The light keeps a record; each look below is found in it after the one before, so that a slow desk
//! that looks late misses nothing. Colours and rhythms are written by hand from docs/light.md.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may stop where it stands"
)]

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use kubermesh_qemu::Recipe;
use kubermesh_qemu::blink1::{Blink1, Cause, Hue, Kind, Led, Rhythm, Seen};
use kubermesh_tests::{Node, Router, soon, test_stick};

#[test]
fn a_light_shows_a_node_from_its_first_breath_until_it_may_be_unplugged() -> Result<()> {
    let light = Blink1::new(Kind::Mk2, 1)?;
    // As a machine that still feeds its sockets when it is off: what the light says last is seen.
    let one = Recipe::new("one").stick(test_stick()?).argument("-no-shutdown").make()?;
    light.plug(one.light_socket(0))?;
    one.power_on()?;
    let one = Node { machine: one };
    let mut eye = Eye { light: &light, from: Duration::ZERO };

    eye.sees("booting", BREATHES_BLUE, BREATHES_BLUE)?;
    one.wait_status("isolated")?;
    eye.sees("no neighbour", AMBER_ONCE, AMBER_ONCE)?;
    let _neighbour = Router::bird(one.machine.port(0)?)?;
    one.wait_status("ready")?;
    eye.sees("ready", GREEN, GREEN)?;
    it_says_in_words_what_it_shows(&one)?;

    the_pod_dies_twice(&one)?;
    eye.sees("meshed", CYAN_TWICE, CYAN_TWICE)?;
    eye.sees("ready again", GREEN, GREEN)?;
    routing_dies_again_and_again(&one, &mut eye)?;

    one.run(&["/usr/bin/kubermesh", "identify", "--lasts", "5s"])?;
    eye.sees("identify", WHITE_FAST, WHITE_FAST)?;
    eye.sees("identify is over", GREEN, GREEN)?;

    ensure!(deaths(&light) == 0, "a living node looked dead");
    one.signal("STOP", one.service("light")?.pid)?;
    eye.sees("dead", RED_LONG_SHORT, RED_LONG_SHORT)?;
    eye.sees("the worker was restarted", GREEN, GREEN)?;
    goes_down(&one, &mut eye)
}

/// After the second death kubelet waits for ten seconds.
fn the_pod_dies_twice(node: &Node) -> Result<()> {
    let pid = node.beacon_pid()?;
    node.signal("KILL", pid)?;
    node.wait_until("the pod runs again", |node| {
        Ok(node.beacon_pid().is_ok_and(|new| new != pid))
    })?;
    node.signal("KILL", node.beacon_pid()?)
}

/// A fault stands beside the phase on the second LED; when nothing helps the phase is "failed", and it heals.
fn routing_dies_again_and_again(node: &Node, eye: &mut Eye) -> Result<()> {
    // It rests for 0, 1, 5 and 30 s; the fourth failure in a row is one too many.
    for deaths in 1..=4 {
        let pid = node.service("bird")?.pid;
        node.signal("KILL", pid)?;
        if deaths == 4 {
            break;
        }
        node.wait_until("bird is started again", |node| {
            Ok(![0, pid].contains(&node.service("bird")?.pid))
        })?;
    }
    eye.sees("no neighbour, with a fault", AMBER_ONCE, YELLOW_WITH_GAP)?;
    eye.sees("failed", RED_EVEN, YELLOW_WITH_GAP)?;
    eye.sees("healed", GREEN, GREEN)
}

fn it_says_in_words_what_it_shows(node: &Node) -> Result<()> {
    node.machine.agent().wait(soon())?;
    let answer = node.ask(&["light"])?;
    ensure!(answer["shows"] == "ready" && answer["words"] == "green, steady", "{answer}");
    ensure!(answer["lights"]["devices"] == serde_json::json!(["20000001"]), "{answer}");
    ensure!(answer["lights"]["faults"] == serde_json::json!([]), "{answer}");
    Ok(())
}

fn goes_down(node: &Node, eye: &mut Eye) -> Result<()> {
    let died_before = deaths(eye.light);
    // A node that is well is down before its rhythm has come round twice. This one waits 5 s, then kills bird.
    node.signal("STOP", node.service("bird")?.pid)?;
    node.machine.power_button()?;
    eye.sees("stopping", MAGENTA_THRICE, MAGENTA_THRICE)?;
    node.machine.serial().wait("stick and power may be pulled", soon())?;
    // Nobody says "alive" any more: 15 s later a watchdog left on would show.
    for _ in 0..3 {
        eye.sees("safe to unplug", WHITE_SLOW, WHITE_SLOW)?;
    }
    ensure!(deaths(eye.light) == died_before, "a node that was switched off looked dead");
    Ok(())
}

/// How often the light showed something because nobody said "alive".
fn deaths(light: &Blink1) -> usize {
    let record = light.record();
    record.all().iter().filter(|shown| matches!(shown.cause, Cause::ServerDown { .. })).count()
}

/// Looks at a light; what it has seen it does not see again.
struct Eye<'a> {
    light: &'a Blink1,
    /// On the light's clock: the record is looked through until here.
    from: Duration,
}

impl Eye<'_> {
    /// Waits until a stretch of the record, two periods long, shows this on both LEDs at once.
    fn sees(&mut self, what: &str, first: Look, second: Look) -> Result<()> {
        let deadline = Instant::now() + soon();
        let span = first.period.max(second.period) * 2 + Duration::from_millis(100);
        let mut last = String::from("not yet looked at");
        loop {
            let (now, record) = (self.light.now(), self.light.record());
            while self.from + span <= now {
                let until = self.from + span;
                let leds = Led::BOTH.map(|led| Seen::between(&record, led, self.from, until));
                if first.is(&leds[0]) && second.is(&leds[1]) {
                    println!("{:6.1} s: {what}: {}; {}", self.from.as_secs_f64(), leds[0], leds[1]);
                    self.from = until;
                    return Ok(());
                }
                last =
                    format!("{} {:?}; {} {:?}", leds[0], leds[0].rhythm, leds[1], leds[1].rhythm);
                self.from += Duration::from_millis(100);
            }
            ensure!(Instant::now() < deadline, "waited for {what}, the light shows {last}");
            // It plays by itself, so no event says that a rhythm has been long enough to be one.
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// One LED's colour and rhythm.
#[derive(Clone, Copy)]
struct Look {
    hue: Hue,
    beat: Beat,
    period: Duration,
}

#[derive(Clone, Copy)]
enum Beat {
    Steady,
    Breath,
    /// So many flashes in a period, and how long they are in all.
    Flashes(usize, Duration),
}

impl Look {
    const fn new(hue: Hue, beat: Beat, period_ms: u64) -> Self {
        Self { hue, beat, period: Duration::from_millis(period_ms) }
    }

    fn is(self, seen: &Seen) -> bool {
        let close =
            |one: Duration, other: Duration| one.abs_diff(other) <= Duration::from_millis(30);
        seen.is(self.hue, |rhythm| match (self.beat, rhythm) {
            (Beat::Steady, Rhythm::Steady) => true,
            (Beat::Breath, Rhythm::Breathing { period }) => close(period, self.period),
            (Beat::Flashes(count, light), Rhythm::Blinking { flashes, period, lit }) => {
                count == flashes && close(period, self.period) && close(lit, light)
            }
            _ => false,
        })
    }
}

const fn flashes(count: usize, lit_ms: u64) -> Beat {
    Beat::Flashes(count, Duration::from_millis(lit_ms))
}

const BREATHES_BLUE: Look = Look::new(Hue::Blue, Beat::Breath, 2000);
const AMBER_ONCE: Look = Look::new(Hue::Amber, flashes(1, 150), 2000);
const CYAN_TWICE: Look = Look::new(Hue::Cyan, flashes(2, 300), 2000);
const GREEN: Look = Look::new(Hue::Green, Beat::Steady, 1000);
const YELLOW_WITH_GAP: Look = Look::new(Hue::Yellow, flashes(1, 1740), 2000);
const RED_EVEN: Look = Look::new(Hue::Red, flashes(1, 500), 1000);
const WHITE_FAST: Look = Look::new(Hue::White, flashes(1, 120), 250);
const RED_LONG_SHORT: Look = Look::new(Hue::Red, flashes(2, 850), 2000);
const MAGENTA_THRICE: Look = Look::new(Hue::Magenta, flashes(3, 450), 2000);
const WHITE_SLOW: Look = Look::new(Hue::White, flashes(1, 2000), 4000);
