// SPDX-License-Identifier: Apache-2.0
//! The loop: sense, think, act, write down; and again.

use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use kubermesh_node::event::{End, Event, Goal};
use kubermesh_node::node::Node;
use kubermesh_node::service::{Catalog, catalog};
use kubermesh_node::time::{Span, Time};
use kubermesh_sys::epoll::{Epoll, Tells};
use kubermesh_sys::signals::{Came, Signals};
use kubermesh_sys::uevent::Uevents;
use kubermesh_sys::watchdog::Watchdog;
use kubermesh_sys::{Errno, clock, files, inherited, machine, notify, process, socket};

use crate::act::{self, modules::Modules};
use crate::held::{Child, Held, Kept, Regained, Source};
use crate::recorder::{CRASH_BUDGET, CRASH_WINDOW, Record, Recorder};
use crate::say::Voice;
use crate::sense::{self, Ended};
use crate::{last_resort, start};

/// PID 1 at work.
struct Init {
    node: Node,
    held: Held,
    recorder: Recorder,
    modules: Modules,
    voice: Voice,
    crashes: Vec<Time>,
    /// The kernel was started with `kubermesh.test`: a test may crash PID 1.
    may_crash: bool,
}

/// Why the loop cannot begin.
#[derive(Debug, thiserror::Error)]
enum BeginError {
    #[error("open the signals")]
    Signals(#[from] kubermesh_sys::signals::Refusal),
    #[error("{attempt}")]
    Descriptor { attempt: &'static str, source: Errno },
}

/// The watchdog bites after so many seconds without food; it is fed three times as often.
const WATCHDOG_SECONDS: i32 = 60;
const TICK: Span = Span::from_secs(20);

const NOTIFY: &str = "/run/kubermesh/notify";

/// The first life: makes the house, reads the services, and goes to work.
pub(crate) fn first() {
    let voice = Voice::open();
    start::clock::set(&voice);
    for refusal in start::house::make() {
        voice.tell(&refusal);
    }
    last_resort::prepare(&voice);
    let files = sense::hardware::service_files(Path::new(catalog::FOLDER));
    let texts = files.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    let (catalog, refused) = Catalog::lenient(texts);
    for refusal in start::house::protect(&catalog) {
        voice.tell(&refusal);
    }
    let node = Node::new(&catalog, &refused, env!("CARGO_PKG_VERSION"));
    let recorder = match Recorder::create() {
        Ok(recorder) => recorder,
        Err(refusal) => last_resort::start_again(&voice, &refusal.to_string()),
    };
    begin(node, recorder, Regained::default(), vec![], voice, VecDeque::from([Event::Begun]));
}

/// The next life after a crash.
pub(crate) fn recovered(cause: &str) {
    let voice = Voice::open();
    let (mut recorder, record) = match Recorder::inherit() {
        Ok(found) => found,
        Err(refusal) => last_resort::start_again(&voice, &refusal.to_string()),
    };
    let Record { node, kept, mut crashes } = record;
    crashes.push(now());
    crashes.retain(|crash| crash.after(CRASH_WINDOW) > now());
    let record = Record { node, kept, crashes };
    // Written at once: a crash before the first turn must count too.
    if let Err(refusal) = recorder.commit(&record) {
        last_resort::start_again(&voice, &refusal.to_string());
    }
    let Record { node, kept, crashes } = record;
    if crashes.len() > CRASH_BUDGET {
        last_resort::start_again(
            &voice,
            &format!("{} crashes within {CRASH_WINDOW}, the last by {cause}", crashes.len()),
        );
    }
    last_resort::prepare(&voice);
    let regained = kept.regain();
    close_the_rest(&kept, &voice);
    begin(
        node,
        recorder,
        regained,
        crashes,
        voice,
        VecDeque::from([Event::Recovered { cause: cause.to_owned() }]),
    );
}

fn begin(
    node: Node,
    recorder: Recorder,
    regained: Regained,
    crashes: Vec<Time>,
    voice: Voice,
    mut events: VecDeque<Event>,
) {
    let held = match hold(&node, regained) {
        Ok(held) => held,
        Err(refusal) => {
            voice.tell(&refusal);
            last_resort::start_again(&voice, "the loop cannot begin");
        }
    };
    let may_crash =
        files::read(Path::new("/proc/cmdline")).is_ok_and(|line| line.contains("kubermesh.test"));
    let modules = Modules::default();
    let mut init = Init { node, held, recorder, modules, voice, crashes, may_crash };
    events.extend(init.look_for_children());
    init.modules.want(start::house::MODULES.iter().map(ToString::to_string), &init.voice);
    init.take_changes(sense::hardware::all());
    let _ = machine::take_ctrl_alt_del();
    loop {
        init.work(events);
        events = init.wait();
    }
}

impl Init {
    /// Thinks and acts until nothing is left to say, then writes the state down.
    fn work(&mut self, mut events: VecDeque<Event>) {
        while let Some(event) = events.pop_front() {
            for effect in self.node.step(event, now()) {
                act::perform(effect, &mut self.held, &self.voice, &mut events);
            }
        }
        let record = Record {
            node: self.node.clone(),
            kept: self.held.kept(),
            crashes: self.crashes.clone(),
        };
        if let Err(refusal) = self.recorder.commit(&record) {
            self.voice.tell(&refusal);
        }
    }

    /// Waits until something happens or is due.
    fn wait(&mut self) -> VecDeque<Event> {
        let due =
            self.node.next_wake().map_or(self.held.next_tick, |wake| wake.min(self.held.next_tick));
        let left = Duration::from_millis(due.since(now()).as_millis());
        let ready = self.held.epoll.wait(left);
        let mut events = VecDeque::new();
        for source in ready.into_iter().filter_map(Source::of) {
            self.hear(source, &mut events);
        }
        let now = now();
        if self.node.next_wake().is_some_and(|wake| wake <= now) {
            events.push_back(Event::Clock);
        }
        if self.held.next_tick <= now {
            self.held.next_tick = now.after(TICK);
            sense::listen_again(&self.held);
            self.modules.tick(&self.voice);
            events.push_back(Event::WatchdogTick);
        }
        events
    }

    fn hear(&mut self, source: Source, events: &mut VecDeque<Event>) {
        match source {
            Source::Signals => self.take_signals(events),
            Source::Notify => {
                let node = &self.node;
                let by_cgroup = |path: &str| {
                    let mut alive = node.processes();
                    let found =
                        alive.find(|(name, _, _)| node.cgroup(name).is_some_and(|own| own == path));
                    found.map(|(name, instance, _)| (name.clone(), instance))
                };
                events.extend(sense::receive_notify(&self.held, by_cgroup));
            }
            Source::Control => sense::accept(&mut self.held),
            Source::Uevents => {
                let changes = sense::hardware::receive(&self.held);
                let changes = if changes.lost { sense::hardware::all() } else { changes };
                self.take_changes(changes);
            }
            Source::Key(number) => {
                let pressed = sense::hardware::was_pressed(number, &mut self.held);
                events.extend(pressed.then_some(Event::Leave(Goal::PowerOff)));
            }
            Source::Channel(number) => events.extend(sense::read_channel(number, &mut self.held)),
            Source::Output(number) => events.extend(sense::drain_output(number, &self.held)),
            Source::Newline(number) => events.extend(sense::read_newline(number, &mut self.held)),
            Source::Client(number) => self.take_calls(number, events),
        }
    }

    fn take_signals(&mut self, events: &mut VecDeque<Event>) {
        while let Some(came) = self.held.signals.take() {
            match came {
                Came::Child => {}
                Came::CtrlAltDel | Came::Term => events.push_back(Event::Leave(Goal::Reboot)),
                Came::Power => events.push_back(Event::Leave(Goal::PowerOff)),
            }
        }
        let (ended, more) = sense::reap(&mut self.held);
        for one in ended {
            match one {
                Ended::Main(event) => events.push_back(event),
                Ended::Other(pid) => {
                    self.modules.ended(pid, &self.voice);
                }
            }
        }
        if more {
            // The signal was taken, the processes were not all: be told again at once.
            process::remind_of_children();
        }
    }

    fn take_calls(&mut self, number: u32, events: &mut VecDeque<Event>) {
        for heard in sense::read_client(number, self.may_crash, &mut self.held) {
            match heard {
                sense::Heard::Asked(event) => events.push_back(event),
                sense::Heard::Answer(client, reply) => {
                    let effect = kubermesh_node::effect::Effect::Answer { client, reply };
                    act::perform(effect, &mut self.held, &self.voice, events);
                }
                sense::Heard::Crash(how) => crash(&how),
            }
        }
    }

    fn take_changes(&mut self, changes: sense::hardware::Changes) {
        self.modules.want(changes.aliases, &self.voice);
        changes.nodes.iter().for_each(|name| act::devices::open_to_all(name));
        for name in changes.inputs {
            sense::hardware::open_key(&name, &mut self.held);
        }
        if changes.has_watchdog && self.held.watchdog.is_none() {
            self.held.watchdog = Watchdog::open(WATCHDOG_SECONDS).ok();
        }
    }

    /// Who of those that the record names is still there. The kernel is believed first.
    fn look_for_children(&mut self) -> Vec<Event> {
        let alive: Vec<_> = self
            .node
            .processes()
            .map(|(name, instance, pid)| (name.clone(), instance, pid))
            .collect();
        let mut gone = Vec::new();
        for (service, instance, pid) in alive {
            match pid {
                Some(pid) if files::exists(Path::new(&format!("/proc/{pid}"))) => {
                    self.held.children.insert(pid, Child { service, instance, failure: None });
                }
                Some(_) => gone.push(Event::Ended { service, instance, end: End::Exit(-1) }),
                None => {
                    let sentence = "PID 1 crashed while it was being started".to_owned();
                    gone.push(Event::SpawnFailed { service, instance, sentence });
                }
            }
        }
        gone
    }
}

fn hold(node: &Node, regained: Regained) -> Result<Held, BeginError> {
    let step = |attempt| move |source| BeginError::Descriptor { attempt, source };
    let signals = Signals::open()?;
    let epoll = Epoll::create().map_err(step("make the epoll"))?;
    let notify = regained
        .notify
        .map_or_else(|| notify::listen(NOTIFY), Ok)
        .map_err(step("listen at /run/kubermesh/notify"))?;
    let control = regained
        .control
        .map_or_else(|| socket::listen(kubermesh_node::control::SOCKET), Ok)
        .map_err(step("listen at /run/kubermesh/control"))?;
    let held = Held {
        epoll,
        signals,
        notify,
        control,
        uevents: Uevents::open().ok(),
        keys: Default::default(),
        watchdog: regained.watchdog.and_then(|device| Watchdog::arm(device, WATCHDOG_SECONDS).ok()),
        next_tick: now(),
        names: node.names().cloned().collect(),
        outputs: regained.outputs,
        channels: regained.channels,
        keeps_output: true,
        newlines: Default::default(),
        children: Default::default(),
        clients: Default::default(),
        last_client: 0,
    };
    held.hear(&held.signals, Source::Signals, Tells::While).map_err(step("hear signals"))?;
    held.hear(&held.notify, Source::Notify, Tells::While).map_err(step("hear notifications"))?;
    held.hear(&held.control, Source::Control, Tells::While)
        .map_err(step("hear the control socket"))?;
    if let Some(uevents) = &held.uevents {
        held.hear(uevents, Source::Uevents, Tells::While).map_err(step("hear devices"))?;
    }
    for (name, channel) in &held.channels {
        held.hear(channel, Source::Channel(held.number(name)), Tells::While)
            .map_err(step("hear the workers"))?;
    }
    Ok(held)
}

/// Descriptors that the last life held and this one does not know: its epoll, its clients. Closed,
/// or each crash would leave some behind.
fn close_the_rest(kept: &Kept, voice: &Voice) {
    for number in kept.unknown_among(1024).into_iter().filter(|number| *number != voice.number()) {
        drop(inherited::take(number));
    }
}

/// A test's wish, on a machine started with `kubermesh.test`.
#[expect(clippy::panic, reason = "that is what the test asks for")]
fn crash(how: &str) {
    match how {
        "hang" => loop {
            std::hint::spin_loop();
        },
        _ => panic!("a test asked for it"),
    }
}

fn now() -> Time {
    Time::from_millis(u64::try_from(clock::since_start().as_millis()).unwrap_or(u64::MAX))
}
