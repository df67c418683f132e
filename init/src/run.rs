// SPDX-License-Identifier: Apache-2.0
//! The loop: sense, think, act, write down; and again.

use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::path::Path;
use std::time::Duration;

use kubermesh_node::control::SOCKET;
use kubermesh_node::event::{Event, Goal};
use kubermesh_node::heard::Heard;
use kubermesh_node::node::Node;
use kubermesh_node::service::{Catalog, ServiceName, catalog};
use kubermesh_node::time::Span;
use kubermesh_sys::epoll::{Epoll, Tells};
use kubermesh_sys::signals::{Came, Signals};
use kubermesh_sys::uevent::Uevents;
use kubermesh_sys::watchdog::Watchdog;
use kubermesh_sys::{Errno, files, inherited, machine, notify, process, program, socket};

use crate::act::{self, modules::Modules};
use crate::again::thrice;
use crate::events::{Events, now};
use crate::held::{Held, Source};
use crate::recorder::Recorder;
use crate::recover::LastLife;
use crate::say::Voice;
use crate::sense::Gone;
use crate::upgrade::{self, Rehearsal, Trial};
use crate::{crash, kept, last_resort, recover, sense, start, witness};

/// PID 1 at work.
struct Init {
    node: Node,
    held: Held,
    events: Events,
    modules: Modules,
    voice: Voice,
    /// The kernel was started with `kubermesh.test`: a test may crash PID 1.
    may_crash: bool,
    /// Which devices there are was asked in this life.
    knows_devices: bool,
    /// One was seen in this life.
    has_watchdog: bool,
    /// It was a tick that asked for what a worker says next.
    has_ticked: bool,
    trial: Option<Trial>,
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

/// After a crash those who wait for an answer come before the devices, which take milliseconds to look at.
const SOON: Span = Span::from_millis(100);

/// So many processes are reaped in one turn of the loop: orphans in a millisecond or two, a main process in one more
/// for its restart. Then the other descriptors are looked at, and the rest comes next turn.
const BATCH: usize = 64;

const NOTIFY: &str = "/run/kubermesh/notify";

/// The first life: makes the house, reads the services, and goes to work.
pub(crate) fn first() {
    let voice = Voice::open();
    last_resort::prepare(&voice);
    start::clock::set(&voice);
    for refusal in start::house::make() {
        voice.tell(&refusal);
    }
    let node = read_services(&voice);
    let recorder = match Recorder::create(&node) {
        Ok(recorder) => recorder,
        Err(refusal) => last_resort::start_again(&voice, &refusal.to_string()),
    };
    let events = Events::new(recorder, VecDeque::new(), 0);
    go_to_work(LastLife { node, events }, Event::Begun, voice);
}

/// The node with what the files say; the files themselves are let go of.
fn read_services(voice: &Voice) -> Node {
    let (files, unread) = sense::hardware::service_files(Path::new(catalog::FOLDER));
    let texts = files.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    let (catalog, mut refused) = Catalog::lenient(texts);
    refused.extend(unread);
    for refusal in start::house::protect(&catalog) {
        voice.tell(&refusal);
    }
    Node::new(catalog, &refused, env!("CARGO_PKG_VERSION"))
}

/// Goes on from where the last life was, and tells the node by `news` that it does.
pub(crate) fn go_to_work(life: LastLife, news: Event, voice: Voice) {
    let LastLife { node, mut events } = life;
    let mut held = match hold(&node, &mut events) {
        Ok(held) => held,
        Err(refusal) => {
            voice.tell(&refusal);
            last_resort::start_again(&voice, "the loop cannot begin");
        }
    };
    let trial = upgrade::take_back(&news, &mut held);
    let line = kernel_line();
    let may_crash = line.split_whitespace().any(|word| word == "kubermesh.test");
    let modules = Modules::default();
    let (knows_devices, has_watchdog, has_ticked) = (false, false, false);
    let mut init = Init {
        node,
        held,
        events,
        modules,
        voice,
        may_crash,
        knows_devices,
        has_watchdog,
        has_ticked,
        trial,
    };
    if matches!(news, Event::Recovered { .. }) {
        init.held.next_tick = now().after(SOON);
    }
    init.work();
    init.tell_lost_starts();
    init.events.push(news);
    init.take_signals();
    init.work();
    let _ = machine::take_ctrl_alt_del();
    if init.may_crash && init.trial.is_some() {
        crash::as_wished(&line);
    }
    loop {
        init.work();
        // Nowhere else: what was heard and is not an event yet would be lost.
        upgrade::go_over(&init.node, &mut init.held, &mut init.events, &init.voice);
        init.wait();
    }
}

/// What the boot loader told the kernel, and the kernel us.
pub(crate) fn kernel_line() -> String {
    files::read(Path::new("/proc/cmdline")).unwrap_or_default()
}

impl Init {
    /// Thinks and acts until nothing is left to say.
    fn work(&mut self) {
        while let Some((when, event, performed)) = self.events.next() {
            witness::hears(&event, &self.node, when);
            let effects = self.node.step(event, when);
            witness::decides(&effects, &self.node);
            for (number, effect) in effects.into_iter().enumerate().skip(performed) {
                if self.events.begin(number, &effect) {
                    act::perform(effect, &mut self.held, &self.voice, &mut self.events);
                }
            }
            self.events.end();
            witness::answered();
        }
        if let Some(refusal) = self.events.shorten(&self.node) {
            self.voice.tell(&refusal);
        }
        if let Some(trial) = self.trial.take_if(|_| self.held.has_answered) {
            trial.end(&self.node, &mut self.events, &self.voice);
        }
    }

    /// Waits until something happens or is due.
    fn wait(&mut self) {
        let late = self.held.rehearsal.as_ref().and_then(Rehearsal::until);
        let wake = self.node.next_wake().into_iter().chain(late).min();
        let due = wake.map_or(self.held.next_tick, |wake| wake.min(self.held.next_tick));
        self.held.take_back_lent();
        let left = Duration::from_millis(due.since(now()).as_millis());
        let ready = self.held.epoll.wait(left);
        let mut is_answer = false;
        for source in ready.into_iter().filter_map(Source::of) {
            self.hear(source);
            is_answer |= self.has_ticked && matches!(source, Source::Channel(_));
        }
        if is_answer {
            self.has_ticked = false;
            self.work();
            program::give_back_pages();
        }
        if let Some(rehearsal) = &mut self.held.rehearsal {
            rehearsal.look_at_the_clock();
        }
        self.look_at_the_clock();
        let now = now();
        if self.held.next_tick <= now {
            self.held.next_tick = now.after(TICK);
            sense::listen_again(&self.held);
            sense::drain_outputs(&self.held, &mut self.events);
            self.modules.tick(&self.voice);
            self.arm_watchdog();
            if !std::mem::replace(&mut self.knows_devices, true) {
                self.modules
                    .want(start::house::MODULES.iter().map(ToString::to_string), &self.voice);
                self.take_changes(sense::hardware::all());
            }
            self.events.push(Event::WatchdogTick);
            self.work();
            // Most of what a start needs is never needed again, nor what a worker's answer to the tick needs.
            program::give_back_pages();
            self.has_ticked = true;
        }
    }

    fn hear(&mut self, source: Source) {
        let (held, events) = (&mut self.held, &mut self.events);
        match source {
            Source::Signals => self.take_signals(),
            Source::Notify => self.take_words(),
            Source::Control => sense::accept(held),
            Source::Uevents => {
                let changes = sense::hardware::receive(held);
                let changes = if changes.lost { sense::hardware::all() } else { changes };
                self.take_changes(changes);
            }
            Source::Key(number) => {
                if sense::hardware::was_pressed(number, held) {
                    events.push(Event::Leave(Goal::PowerOff));
                }
            }
            Source::Channel(number) => sense::read_channel(number, held, events),
            Source::Output(number) => sense::drain_output(number, held, events),
            Source::Newline(number) => sense::read_newline(number, held, events),
            Source::Client(number) => self.take_calls(number),
        }
    }

    fn take_words(&mut self) {
        let node = &self.node;
        let by_cgroup = |path: &str| {
            let is_its = |name: &ServiceName| node.cgroup(name).is_some_and(|own| own == path);
            let found = node.processes().find(|(name, _, _)| is_its(name));
            found.map(|(name, instance, _)| (name.clone(), instance))
        };
        sense::receive_notify(&self.held, &mut self.events, by_cgroup);
    }

    fn take_signals(&mut self) {
        while let Some(came) = self.held.signals.peek() {
            match came {
                Came::Child => {}
                Came::CtrlAltDel | Came::Term => self.events.push(Event::Leave(Goal::Reboot)),
                Came::Power => self.events.push(Event::Leave(Goal::PowerOff)),
            }
            self.held.signals.pass(came);
        }
        // Whose word was said before its end has a cgroup until it is reaped.
        self.take_words();
        let mut left = BATCH;
        while left > 0 {
            match sense::next_gone(&mut self.held, &mut self.events) {
                None => return,
                Some(Gone::Main(pid)) => {
                    // The kernel takes its time to take a process apart: its service starts again before.
                    self.work();
                    process::reap(pid);
                    // That took its time, and the next one may have said a word meanwhile.
                    self.take_words();
                    left = left.saturating_sub(1);
                }
                Some(Gone::Other(pid)) => {
                    let says = |pid| self.modules.ended(pid, &self.voice);
                    let crowd = sense::reap_crowd(pid, left, &mut self.held, says);
                    left = left.saturating_sub(crowd);
                }
            }
        }
        // The signal was taken, the processes were not all: be told again at once.
        process::remind_of_children();
    }

    fn look_at_the_clock(&mut self) {
        let now = now();
        if self.node.next_wake().is_some_and(|wake| wake <= now) {
            self.events.push(Event::Clock);
        }
    }

    fn take_calls(&mut self, number: u32) {
        act::send_rest(number, &mut self.held);
        for heard in sense::read_client(number, self.may_crash, &mut self.held) {
            match heard {
                Heard::Asked(event) => self.events.push(event),
                Heard::Answer(client, reply) => {
                    // Varlink answers in the order of the calls.
                    self.work();
                    act::answer(client, &reply, &mut self.held);
                }
                Heard::Crash(how) => crash::by(&how),
            }
        }
    }

    fn take_changes(&mut self, changes: sense::hardware::Changes) {
        self.modules.want(changes.aliases, &self.voice);
        changes.nodes.iter().for_each(|name| act::devices::open_to_all(name));
        for name in changes.inputs {
            sense::hardware::open_key(&name, &mut self.held);
        }
        self.has_watchdog |= changes.has_watchdog;
        self.arm_watchdog();
    }

    /// Where there is one; what is refused for the moment is tried again at the next tick.
    fn arm_watchdog(&mut self) {
        if self.has_watchdog && self.held.watchdog.is_none() {
            let found = Watchdog::open(WATCHDOG_SECONDS).ok();
            // It runs from now on: without a number that lives on it is fed all the same.
            self.held.watchdog = found.map(|dog| dog.placed(kept::WATCHDOG).unwrap_or(dog));
        }
    }

    /// Runs that have begun and have neither process nor refusal: the record of them is damaged.
    fn tell_lost_starts(&mut self) {
        let lost = self.node.processes().filter(|(_, _, pid)| pid.is_none());
        for (service, instance, _) in lost {
            let sentence = "PID 1 crashed while it was being started".to_owned();
            self.events.push(Event::SpawnFailed { service: service.clone(), instance, sentence });
        }
    }
}

fn hold(node: &Node, events: &mut Events) -> Result<Held, BeginError> {
    let step = |attempt| move |source| BeginError::Descriptor { attempt, source };
    let (epoll, signals) = (Epoll::create().map_err(step("make the epoll"))?, Signals::open()?);
    let notify = inherited::take_back(kept::NOTIFY)
        .or_else(|_| inherited::place(&notify::listen(NOTIFY)?, kept::NOTIFY))
        .map_err(step("listen at /run/kubermesh/notify"))?;
    // Where the next one fails it stays open: a program before this one takes it back.
    let notify = ManuallyDrop::new(notify);
    let control = inherited::take_back(kept::CONTROL)
        .or_else(|_| inherited::place(&socket::listen(SOCKET)?, kept::CONTROL))
        .map_err(step("listen at /run/kubermesh/control"))?;
    let mut held = Held {
        epoll,
        signals,
        notify: ManuallyDrop::into_inner(notify),
        control,
        uevents: thrice(Uevents::open).ok(),
        keys: Default::default(),
        watchdog: inherited::take_back(kept::WATCHDOG)
            .and_then(|device| Watchdog::arm(device, WATCHDOG_SECONDS))
            .ok(),
        next_tick: now(),
        names: node.names().cloned().collect(),
        outputs: Default::default(),
        channels: Default::default(),
        keeps_output: true,
        clean_cgroups: Default::default(),
        newlines: Default::default(),
        children: Default::default(),
        lent: Default::default(),
        null: files::null().ok(),
        unkilled: Default::default(),
        clients: Default::default(),
        last_client: 0,
        has_answered: false,
        rehearsal: None,
    };
    recover::take_back(node, events, &mut held);
    if let Err(refusal) = hear_all(&held) {
        // Open as they are: where this program is on trial, the one before takes them back.
        std::mem::forget(held);
        return Err(refusal);
    }
    Ok(held)
}

fn hear_all(held: &Held) -> Result<(), BeginError> {
    let step = |attempt| move |source| BeginError::Descriptor { attempt, source };
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
    for (name, (_, reader)) in &held.newlines {
        held.hear(reader, Source::Newline(held.number(name)), Tells::While)
            .map_err(step("hear the services"))?;
    }
    Ok(())
}
