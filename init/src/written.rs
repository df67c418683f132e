// SPDX-License-Identifier: Apache-2.0
//! The form in which an event is written down: numbers of 8 bytes, texts with their length before
//! them, and what a worker reports in the JSON that it comes in.
//!
//! By hand, since a reader of JSON for every kind of event would be a fiftieth of PID 1.

use kubermesh_node::control::Request;
use kubermesh_node::event::{End, Event, Goal};
use kubermesh_node::service::ServiceName;
use kubermesh_node::time::{Span, Time};

/// As bytes.
pub(crate) fn write(when: Time, event: &Event) -> Result<Vec<u8>, serde_json::Error> {
    let mut to = Writer(Vec::new());
    to.number(when.as_millis());
    match event {
        Event::Begun => to.number(0),
        Event::Recovered { cause } => to.number(1).text(cause),
        Event::Spawned { service, instance, pid } => {
            to.number(2).run(service, *instance).number(u64::from(*pid))
        }
        Event::SpawnFailed { service, instance, sentence } => {
            to.number(3).run(service, *instance).text(sentence)
        }
        Event::Ready { service, instance } => to.number(4).run(service, *instance),
        Event::Ended { service, instance, end } => {
            let (kind, number) = match end {
                End::Exit(status) => (5, status),
                End::Signal(number) => (6, number),
            };
            to.number(kind).run(service, *instance).number(u64::from(number.cast_unsigned()))
        }
        Event::Reported { worker, report } => {
            to.number(7).text(worker.as_str()).bytes(&serde_json::to_vec(report)?)
        }
        Event::Asked { client, request, is_root } => {
            to.number(8).number(*client).number(u64::from(*is_root)).request(request)
        }
        Event::Leave(Goal::Reboot) => to.number(9),
        Event::Leave(Goal::PowerOff) => to.number(10),
        Event::Clock => to.number(11),
        Event::OutputLost { service, bytes } => to.number(13).run(service, *bytes),
        Event::WatchdogTick => to.number(12),
        Event::Upgraded { version, refusal } => {
            to.number(14).text(version).text(refusal.as_deref().unwrap_or_default())
        }
    };
    Ok(to.0)
}

/// From bytes; none where they are of another form.
pub(crate) fn read(bytes: &[u8]) -> Option<(Time, Event)> {
    let mut from = Reader(bytes);
    let when = Time::from_millis(from.number()?);
    let event = match from.number()? {
        0 => Event::Begun,
        1 => Event::Recovered { cause: from.text()? },
        2 => {
            let (service, instance) = from.run()?;
            Event::Spawned { service, instance, pid: from.short()? }
        }
        3 => {
            let (service, instance) = from.run()?;
            Event::SpawnFailed { service, instance, sentence: from.text()? }
        }
        4 => {
            let (service, instance) = from.run()?;
            Event::Ready { service, instance }
        }
        kind @ (5 | 6) => {
            let (service, instance) = from.run()?;
            let number = from.short()?.cast_signed();
            let end = if kind == 5 { End::Exit(number) } else { End::Signal(number) };
            Event::Ended { service, instance, end }
        }
        7 => {
            let worker = from.name()?;
            Event::Reported { worker, report: serde_json::from_slice(from.bytes()?).ok()? }
        }
        8 => {
            let (client, is_root) = (from.number()?, from.number()? == 1);
            Event::Asked { client, request: from.request()?, is_root }
        }
        9 => Event::Leave(Goal::Reboot),
        10 => Event::Leave(Goal::PowerOff),
        11 => Event::Clock,
        12 => Event::WatchdogTick,
        13 => {
            let (service, bytes) = from.run()?;
            Event::OutputLost { service, bytes }
        }
        14 => {
            let (version, refusal) = (from.text()?, from.text()?);
            Event::Upgraded { version, refusal: Some(refusal).filter(|text| !text.is_empty()) }
        }
        _ => return None,
    };
    from.0.is_empty().then_some((when, event))
}

struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, number: u64) -> &mut Self {
        self.0.extend_from_slice(&number.to_ne_bytes());
        self
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    fn run(&mut self, service: &ServiceName, instance: u64) -> &mut Self {
        self.text(service.as_str()).number(instance)
    }

    fn request(&mut self, request: &Request) -> &mut Self {
        match request {
            Request::Status {} => self.number(0),
            Request::Why {} => self.number(1),
            Request::Services {} => self.number(2),
            Request::Links {} => self.number(3),
            Request::Light {} => self.number(4),
            Request::Identify { lasts } => self.number(5).number(lasts.as_millis()),
            Request::Restart { service } => self.number(6).text(service.as_str()),
            Request::Reboot {} => self.number(7),
            Request::PowerOff {} => self.number(8),
            Request::UpgradeInit {} => self.number(9),
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn number(&mut self) -> Option<u64> {
        let (word, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_ne_bytes(*word))
    }

    fn short(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?.try_into().ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<String> {
        std::str::from_utf8(self.bytes()?).ok().map(str::to_owned)
    }

    fn name(&mut self) -> Option<ServiceName> {
        std::str::from_utf8(self.bytes()?).ok()?.parse().ok()
    }

    fn run(&mut self) -> Option<(ServiceName, u64)> {
        Some((self.name()?, self.number()?))
    }

    fn request(&mut self) -> Option<Request> {
        Some(match self.number()? {
            0 => Request::Status {},
            1 => Request::Why {},
            2 => Request::Services {},
            3 => Request::Links {},
            4 => Request::Light {},
            5 => Request::Identify { lasts: Span::from_millis(self.number()?) },
            6 => Request::Restart { service: self.name()? },
            7 => Request::Reboot {},
            8 => Request::PowerOff {},
            9 => Request::UpgradeInit {},
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kubermesh_node::channel::Report;

    fn all() -> Vec<Event> {
        let (service, worker): (ServiceName, ServiceName) =
            ("net".parse().unwrap(), "probe".parse().unwrap());
        let asked = |request| Event::Asked { client: 7, request, is_root: true };
        vec![
            Event::Begun,
            Event::Recovered { cause: "panic at run.rs:1".into() },
            Event::Spawned { service: service.clone(), instance: 3, pid: 4711 },
            Event::SpawnFailed {
                service: service.clone(),
                instance: 3,
                sentence: "no – memory".into(),
            },
            Event::Ready { service: service.clone(), instance: u64::MAX },
            Event::Ended { service: service.clone(), instance: 3, end: End::Exit(-1) },
            Event::Ended { service: service.clone(), instance: 3, end: End::Signal(9) },
            Event::Reported { worker, report: Report::Pong { number: 5 } },
            asked(Request::Status {}),
            asked(Request::Why {}),
            asked(Request::Services {}),
            asked(Request::Links {}),
            asked(Request::Light {}),
            asked(Request::Identify { lasts: Span::from_secs(60) }),
            asked(Request::Restart { service }),
            asked(Request::Reboot {}),
            Event::Asked { client: 0, request: Request::PowerOff {}, is_root: false },
            Event::Leave(Goal::Reboot),
            Event::Leave(Goal::PowerOff),
            asked(Request::UpgradeInit {}),
            Event::Upgraded { version: "0.2.0".into(), refusal: None },
            Event::Upgraded { version: "0.1.0".into(), refusal: Some("SIGSEGV".into()) },
            Event::Clock,
            Event::WatchdogTick,
            Event::OutputLost { service: "log".parse().unwrap(), bytes: 32_768 },
        ]
    }

    #[test]
    fn every_event_is_read_as_it_was_written_and_never_from_half_of_it() {
        for event in all() {
            let when = Time::from_millis(12_345);
            let bytes = write(when, &event).unwrap();
            assert_eq!(read(&bytes), Some((when, event)));
            for half in 0..bytes.len() {
                assert_eq!(read(bytes.get(..half).unwrap()), None, "{half} of {bytes:?}");
            }
        }
    }
}
