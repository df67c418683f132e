// SPDX-License-Identifier: Apache-2.0
//! Events and effects in words: the lines of a story.
//!
//! ```text
//! 12.004s > what happened
//! 12.004s < what shall be done
//! 12.004s ~ the status, where it changed
//! ```

use crate::channel::{HealthReport, Order, Report, Watch};
use crate::effect::Effect;
use crate::event::{Event, Goal};

/// What happened.
#[must_use]
pub fn event(event: &Event) -> String {
    match event {
        Event::Begun => "begun".into(),
        Event::Recovered { cause } => format!("recovered from {cause}"),
        Event::Upgraded { version, refusal: None } => format!("init {version} took over"),
        Event::Upgraded { version, refusal: Some(cause) } => {
            format!("init {version} goes on: {cause}")
        }
        Event::Spawned { service, instance, pid } => {
            format!("{service} {instance} is process {pid}")
        }
        Event::SpawnFailed { service, instance, sentence } => {
            format!("{service} {instance} cannot start: {sentence}")
        }
        Event::Ready { service, instance } => format!("{service} {instance} says ready"),
        Event::Ended { service, instance, end } => format!("{service} {instance} ended: {end}"),
        Event::Reported { worker, report } => {
            format!("{worker} reports {}", report_in_words(report))
        }
        Event::OutputLost { service, bytes } => format!("{bytes} bytes of {service} are lost"),
        Event::Asked { request, is_root, .. } => {
            format!("{} asks {request:?}", if *is_root { "root" } else { "somebody" })
        }
        Event::Leave(Goal::Reboot) => "Ctrl-Alt-Del".into(),
        Event::Leave(Goal::PowerOff) => "the power key".into(),
        Event::Clock => "clock".into(),
        Event::WatchdogTick => "tick".into(),
    }
}

fn report_in_words(report: &Report) -> String {
    match report {
        Report::Pong { number } => format!("pong {number}"),
        Report::Health(HealthReport { service, instance, healthy, sentence }) => {
            let verdict = if *healthy { "healthy" } else { "unhealthy" };
            format!("{service} {instance} {verdict}: {sentence}")
        }
        Report::Pods(pods) => format!("{} of {} pods", pods.running, pods.wanted),
        Report::Network(network) => format!("{} ports", network.ports.len()),
        Report::Lights(lights) => format!("{} lights", lights.devices.len()),
        Report::Log(log) => format!("{} entries", log.entries),
        Report::Storage(storage) => format!("identity {}", storage.identity),
    }
}

/// What shall be done.
#[must_use]
pub fn effect(effect: &Effect) -> String {
    match effect {
        Effect::Spawn(launch) => {
            format!("start {} {}: {}", launch.service, launch.instance, launch.command.join(" "))
        }
        Effect::Terminate { pid, signal } => format!("ask {pid} to end: {signal:?}"),
        Effect::KillMain { pid } => format!("kill {pid}"),
        Effect::KillGroup { cgroup } => format!("kill all in {cgroup}"),
        Effect::Tell { worker, order } => format!("tell {worker}: {}", order_in_words(order)),
        Effect::KeepOutput(kept) => format!("keep output: {kept}"),
        Effect::Answer { client, reply } => match &reply.error {
            Some(error) => format!("answer {client}: {error} {}", reply.parameters),
            None => format!("answer {client}: {}", reply.parameters),
        },
        Effect::Rehearse { client } => format!("let the program of {client} rehearse"),
        Effect::WriteFile { path, text } => format!("write {path}: {:?}", first_line(text)),
        Effect::SetHostname(name) => format!("host name {name}"),
        Effect::Say(line) => format!("say {line}"),
        Effect::FeedWatchdog => "feed the watchdog".into(),
        Effect::Leave(goal) => format!("leave: {goal:?}"),
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

fn order_in_words(order: &Order) -> String {
    match order {
        Order::Ping { number } => format!("ping {number}"),
        Order::Status(status) => format!("{status}"),
        Order::Identify { lasts } => format!("identify for {lasts}"),
        Order::Watch(Watch { service, instance, check, every, failures, .. }) => {
            format!("watch {service} {instance} by {check:?} every {every}, {failures} failures")
        }
        Order::Unwatch { service } => format!("unwatch {service}"),
        Order::WatchPods(pods) => format!("watch the pods of {}", pods.manifests),
        Order::Output { service } => format!("output of {service}"),
        Order::Stored => "storage has reported".into(),
    }
}
