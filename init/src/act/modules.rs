// SPDX-License-Identifier: Apache-2.0
//! Loads the modules that devices ask for: one modprobe(8) at a time, many names each.
//!
//! A child, since an oops in a driver kills whoever loaded it. A storm of devices makes longer
//! lists, not more children.

use std::collections::BTreeSet;
use std::path::Path;

use kubermesh_sys::descriptor::AsFd;
use kubermesh_sys::files;
use kubermesh_sys::spawn::{self, Place, Program};

use crate::say::{Urgency, Voice};

/// Names that still wait, and the child that loads others.
#[derive(Default)]
pub(crate) struct Modules {
    waiting: BTreeSet<String>,
    /// Asked for once: modprobe of what is loaded is quick, but a storm repeats itself.
    asked: BTreeSet<String>,
    child: Option<Child>,
    cold_plug: ColdPlug,
}

/// One modprobe(8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Child {
    pid: u32,
    /// Ticks of the watchdog so far.
    ticks: u32,
}

/// Whether what is there from the start has its modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ColdPlug {
    /// Ticks of the watchdog so far.
    Since(u32),
    Over,
}

impl Default for ColdPlug {
    fn default() -> Self {
        Self::Since(0)
    }
}

/// Before the cold plug an oops of a driver would loop the machine; from then on it starts again, and
/// the record of it is kept.
const PANIC_ON_OOPS: &str = "/proc/sys/kernel/panic_on_oops";

/// A driver that hangs must not keep kubelet from starting, which wants the settings of after, nor the drivers of
/// devices that come later from being loaded: a minute.
const TICKS_AT_MOST: u32 = 3;

/// Names and aliases come after it.
const MODPROBE: [&str; 5] = ["/usr/sbin/modprobe", "--all", "--use-blacklist", "--quiet", "--"];

/// Names for one child; an argument list has room for far more.
const AT_ONCE: usize = 128;

/// Aliases remembered; beyond it a machine's devices repeat themselves.
const REMEMBERED: usize = 4096;

impl Modules {
    /// Wants these names or aliases loaded.
    pub(crate) fn want(&mut self, names: impl IntoIterator<Item = String>, voice: &Voice) {
        for name in names {
            if self.asked.len() >= REMEMBERED {
                self.asked.clear();
            }
            if self.asked.insert(name.clone()) {
                self.waiting.insert(name);
            }
        }
        self.go_on(voice);
    }

    /// This process has ended; if it was the child the next one may start.
    pub(crate) fn ended(&mut self, pid: u32, voice: &Voice) {
        if self.child.is_some_and(|child| child.pid == pid) {
            self.child = None;
            self.go_on(voice);
        }
    }

    /// The watchdog's tick.
    pub(crate) fn tick(&mut self, voice: &Voice) {
        match self.cold_plug {
            ColdPlug::Since(ticks) if ticks < TICKS_AT_MOST => {
                self.cold_plug = ColdPlug::Since(ticks.saturating_add(1));
            }
            ColdPlug::Since(_) => self.end_cold_plug(voice),
            ColdPlug::Over => {}
        }
        if let Some(child) = &mut self.child {
            child.ticks = child.ticks.saturating_add(1);
            if child.ticks > TICKS_AT_MOST && !self.waiting.is_empty() {
                let sentence = format!(
                    "modprobe, process {}, does not end, others go on beside it",
                    child.pid
                );
                voice.say(Urgency::Error, &sentence);
                self.child = None;
            }
        }
        if !self.waiting.is_empty() {
            self.go_on(voice);
        }
    }

    fn end_cold_plug(&mut self, voice: &Voice) {
        if self.cold_plug == ColdPlug::Over {
            return;
        }
        self.cold_plug = ColdPlug::Over;
        if let Err(refusal) = files::write(Path::new(PANIC_ON_OOPS), "1") {
            voice.say(Urgency::Error, &format!("write {PANIC_ON_OOPS}: {refusal}"));
        }
    }

    /// Starts the next child, where one is wanted. One that could not be started is tried again on the
    /// watchdog's tick.
    fn go_on(&mut self, voice: &Voice) {
        if self.child.is_some() {
            return;
        }
        if self.waiting.is_empty() {
            self.end_cold_plug(voice);
            return;
        }
        let mut command: Vec<String> = MODPROBE.map(str::to_owned).into();
        while command.len() < AT_ONCE
            && let Some(name) = self.waiting.pop_first()
        {
            command.push(name);
        }
        match start(&command) {
            Ok(pid) => self.child = Some(Child { pid, ticks: 0 }),
            Err(refusal) => {
                voice.say(Urgency::Error, &format!("start modprobe: {refusal}"));
                self.waiting.extend(command.into_iter().skip(MODPROBE.len()));
            }
        }
    }
}

fn start(command: &[String]) -> std::io::Result<u32> {
    let null = files::null()?;
    let program = Program {
        command,
        environment: &["PATH=/usr/sbin:/usr/bin".to_owned()],
        place: Place::Parents,
        oom_score: 0,
        input: null.as_fd(),
        output: null.as_fd(),
        third: None,
    };
    let child = spawn::spawn(&program).map_err(std::io::Error::other)?;
    spawn::let_go(&child.gate);
    Ok(child.pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_that_hangs_keeps_no_later_device_from_its_own() {
        let hangs = Child { pid: u32::MAX, ticks: 0 };
        let (mut modules, voice) =
            (Modules { child: Some(hangs), ..Modules::default() }, Voice::silent());
        // No child can be made with this: it waits on.
        modules.want(["usb:v27B8p01ED\0".to_owned()], &voice);
        (0..TICKS_AT_MOST).for_each(|_| modules.tick(&voice));
        assert_eq!(modules.child.map(|child| child.pid), Some(u32::MAX));
        modules.tick(&voice);
        assert_eq!(modules.child, None);
        // Its end is no other's.
        modules.child = Some(Child { pid: 7, ticks: 0 });
        modules.ended(u32::MAX, &voice);
        assert_eq!(modules.child, Some(Child { pid: 7, ticks: 0 }));
    }

    #[test]
    fn a_device_keeps_its_wish_while_modprobe_cannot_be_started() {
        let (mut modules, voice) = (Modules::default(), Voice::silent());
        // No child can be made with this.
        let aliases = ["pci:v00008086\0", "usb:v27B8p01ED"].map(str::to_owned);
        modules.want(aliases.clone(), &voice);
        assert_eq!(modules.waiting, BTreeSet::from(aliases.clone()));
        modules.tick(&voice);
        assert_eq!(modules.waiting, BTreeSet::from(aliases));
    }
}
