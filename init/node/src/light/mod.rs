// SPDX-License-Identifier: Apache-2.0
//! What every light means: the only file in which colours mean something.
//!
//! ```text
//! Status ─► Look { first LED: phase, second LED: faults } ─► Pattern ─► the light worker
//!                └─► words ─► console, command line, the table in README.md
//! ```
//!
//! A meaning is told by its rhythm alone: colour-blind people are on shift too. Colour only makes
//! it quicker to see. What is deliberately absent: the device and its bytes (`kubermesh-light`).

mod pattern;
mod table;

pub use pattern::{Colour, Led, Line, Pattern};
pub use table::table;

use crate::status::{Phase, Status};
use pattern::{Step, Track};

/// Something that a light can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Services come up for the first time.
    Booting,
    /// No cable leads to a living neighbour.
    NoNeighbour,
    /// A neighbour, and pods that are not ready.
    Meshed,
    /// All is well.
    Ready,
    /// Something is wrong: the second LED says it beside any phase.
    Degraded,
    /// This node cannot run pods.
    Failed,
    /// Services are being stopped.
    Stopping,
    /// Stick and power may be pulled.
    SafeToUnplug,
    /// Somebody looks for this machine.
    Identify,
    /// The software died: the device says this by itself.
    Dead,
}

/// How a meaning looks.
struct Appearance {
    name: &'static str,
    colour: Colour,
    colour_word: &'static str,
    rhythm: &'static str,
    steps: &'static [Step],
    tells: &'static str,
}

impl Meaning {
    /// Each of them, in the order of a node's life.
    pub const ALL: [Self; 10] = [
        Self::Booting,
        Self::NoNeighbour,
        Self::Meshed,
        Self::Ready,
        Self::Degraded,
        Self::Failed,
        Self::Stopping,
        Self::SafeToUnplug,
        Self::Identify,
        Self::Dead,
    ];

    /// The one meaning of a status: what a person would say who sees both LEDs.
    #[must_use]
    pub fn of(status: &Status) -> Self {
        match (status.phase, status.faults.is_empty()) {
            (Phase::Ready, false) => Self::Degraded,
            (phase, _) => Self::of_phase(phase),
        }
    }

    const fn of_phase(phase: Phase) -> Self {
        match phase {
            Phase::Stopping => Self::Stopping,
            Phase::Stopped => Self::SafeToUnplug,
            Phase::Failed => Self::Failed,
            Phase::Booting => Self::Booting,
            Phase::Isolated => Self::NoNeighbour,
            Phase::Meshed => Self::Meshed,
            Phase::Ready => Self::Ready,
        }
    }

    /// Its name in the light table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.appearance().name
    }

    /// Colour and rhythm, for those who stand before the machine.
    #[must_use]
    pub fn words(self) -> String {
        let Appearance { colour_word, rhythm, .. } = self.appearance();
        format!("{colour_word}, {rhythm}")
    }

    const fn appearance(self) -> &'static Appearance {
        match self {
            Self::Booting => &BOOTING,
            Self::NoNeighbour => &NO_NEIGHBOUR,
            Self::Meshed => &MESHED,
            Self::Ready => &READY,
            Self::Degraded => &DEGRADED,
            Self::Failed => &FAILED,
            Self::Stopping => &STOPPING,
            Self::SafeToUnplug => &SAFE_TO_UNPLUG,
            Self::Identify => &IDENTIFY,
            Self::Dead => &DEAD,
        }
    }

    fn track(self, led: Led) -> Track {
        Track { led, colour: self.appearance().colour, steps: self.appearance().steps }
    }
}

/// What a light shows now: one meaning on the whole of it, or one on each LED.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// On the first LED, or on both.
    pub first: Meaning,
    /// On the second LED, where it has something of its own to say.
    pub second: Option<Meaning>,
}

impl Look {
    /// One meaning on the whole light.
    #[must_use]
    pub const fn whole(meaning: Meaning) -> Self {
        Self { first: meaning, second: None }
    }

    /// The phase on the first LED; on the second that something is wrong, where it is. Once all
    /// is stopped the whole light says so: nobody should wonder whether to pull the power.
    #[must_use]
    pub fn of(status: &Status) -> Self {
        let tells_faults = !status.faults.is_empty() && status.phase != Phase::Stopped;
        Self {
            first: Meaning::of_phase(status.phase),
            second: tells_faults.then_some(Meaning::Degraded),
        }
    }

    /// The same on a light with a single LED: a ready node with faults shows the faults.
    #[must_use]
    pub fn on_one_led(self) -> Self {
        match (self.first, self.second) {
            (Meaning::Ready, Some(fault)) => Self::whole(fault),
            (first, _) => Self::whole(first),
        }
    }

    /// Colours over time.
    #[must_use]
    pub fn pattern(self) -> Pattern {
        match self.second {
            None => Pattern::of(&[self.first.track(Led::Both)]),
            Some(second) => Pattern::of(&[self.first.track(Led::First), second.track(Led::Second)]),
        }
    }

    /// Colours and rhythms in words.
    #[must_use]
    pub fn words(self) -> String {
        match self.second {
            None => self.first.words(),
            Some(second) => format!("{}; second LED {}", self.first.words(), second.words()),
        }
    }
}

// Rhythms. All periods divide four seconds, so that two of them fit into one loop of the device.
// No edge of a phase lies between 1.70 s and 2 s, where the gap of DEGRADED is: the device plays
// one line at a time.

const BOOTING: Appearance = Appearance {
    name: "booting",
    colour: Colour { red: 0, green: 0, blue: 255 },
    colour_word: "blue",
    rhythm: "breathing, once every 2 s",
    steps: &[Step::soft(true, 800, 100), Step::soft(false, 800, 300)],
    tells: "Services come up. Wait.",
};

const NO_NEIGHBOUR: Appearance = Appearance {
    name: "no neighbour",
    colour: Colour { red: 255, green: 100, blue: 0 },
    colour_word: "amber",
    rhythm: "one short blink every 2 s",
    steps: &[Step::on(150), Step::off(1850)],
    tells: "No cable leads to a living node. Plug one in.",
};

const MESHED: Appearance = Appearance {
    name: "meshed",
    colour: Colour { red: 0, green: 255, blue: 255 },
    colour_word: "cyan",
    rhythm: "two short blinks every 2 s",
    steps: &[Step::on(150), Step::off(250), Step::on(150), Step::off(1450)],
    tells: "A neighbour is there, the pods are not all ready. Wait.",
};

const READY: Appearance = Appearance {
    name: "ready",
    colour: Colour { red: 0, green: 255, blue: 0 },
    colour_word: "green",
    rhythm: "steady",
    steps: &[Step::on(2000)],
    tells: "All is well.",
};

const DEGRADED: Appearance = Appearance {
    name: "degraded",
    colour: Colour { red: 255, green: 255, blue: 0 },
    colour_word: "yellow",
    rhythm: "steady but for a short gap every 2 s",
    steps: &[Step::on(1710), Step::off(260), Step::on(30)],
    tells: "Something is wrong: `kubermesh status` says what. A light with two LEDs shows this on \
            the second one, beside any phase.",
};

const FAILED: Appearance = Appearance {
    name: "failed",
    colour: Colour { red: 255, green: 0, blue: 0 },
    colour_word: "red",
    rhythm: "even blinking, once a second",
    steps: &[Step::on(500), Step::off(500)],
    tells: "This node cannot run pods: `kubermesh why` says for what reason.",
};

const STOPPING: Appearance = Appearance {
    name: "stopping",
    colour: Colour { red: 255, green: 0, blue: 255 },
    colour_word: "magenta",
    rhythm: "three short blinks every 2 s",
    steps: &[
        Step::on(150),
        Step::off(250),
        Step::on(150),
        Step::off(250),
        Step::on(150),
        Step::off(1050),
    ],
    tells: "Services are being stopped. Do not pull the power.",
};

const SAFE_TO_UNPLUG: Appearance = Appearance {
    name: "safe to unplug",
    colour: Colour { red: 255, green: 255, blue: 255 },
    colour_word: "white",
    rhythm: "2 s on, 2 s off",
    steps: &[Step::on(2000), Step::off(2000)],
    tells: "All is stopped and on the disk: stick and power may be pulled.",
};

const IDENTIFY: Appearance = Appearance {
    name: "identify",
    colour: Colour { red: 255, green: 255, blue: 255 },
    colour_word: "white",
    rhythm: "fast blinking, four times a second",
    steps: &[Step::on(120), Step::off(130)],
    tells: "Somebody looks for this machine (`kubermesh identify`).",
};

const DEAD: Appearance = Appearance {
    name: "dead",
    colour: Colour { red: 255, green: 0, blue: 0 },
    colour_word: "red",
    rhythm: "one long and one short blink every 2 s",
    steps: &[Step::on(700), Step::off(150), Step::on(150), Step::off(1000)],
    tells: "The software of this node died, the light says so by itself. Look at the screen, then \
            switch it off and on.",
};

#[cfg(test)]
mod tests;
