// SPDX-License-Identifier: Apache-2.0
//! The emulator against bytes written by hand (`vectors.toml`), spoken by a usbredir client of the test's own.

use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::time::Duration;

use serde::Deserialize;

use super::device::Device;
use super::wire::*;
use super::*;
use crate::Folder;

#[derive(Deserialize)]
struct Vectors {
    descriptors: Descriptors,
    exchange: Vec<Exchange>,
}

#[derive(Deserialize)]
struct Descriptors {
    device: String,
    configuration: String,
    report: String,
    serial: String,
}

#[derive(Deserialize)]
struct Exchange {
    what: String,
    send: Vec<String>,
    reply: String,
}

fn vectors() -> Vectors {
    toml::from_str(include_str!("../../vectors.toml")).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

/// QEMU's side of the socket.
struct Host {
    stream: UnixStream,
    next: u64,
}

impl Host {
    /// Takes the connection of a light and reads its introduction.
    fn accept(listener: &UnixListener) -> Self {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut hello = b"test".to_vec();
        hello.resize(64, 0);
        hello.extend([0b0011_0010, 0, 0, 0]);
        Packet { kind: HELLO, id: 0, body: hello }.write(&mut stream, false).unwrap();
        let theirs = Packet::read(&mut stream, false).unwrap();
        assert_eq!((theirs.kind, theirs.body.len()), (HELLO, 68));
        // Versions of devices, packet sizes, ids of 64 bits, long bulk: QEMU's xHCI wants the last three.
        assert_eq!(theirs.body[64..], [0b0111_0010, 0, 0, 0]);
        let introduction: Vec<Packet> =
            (0..3).map(|_| Packet::read(&mut stream, true).unwrap()).collect();
        let lengths: Vec<(u32, usize)> =
            introduction.iter().map(|packet| (packet.kind, packet.body.len())).collect();
        assert_eq!(lengths, [(EP_INFO, 160), (INTERFACE_INFO, 132), (DEVICE_CONNECT, 10)]);
        // Full speed, class by interface, 27b8:01ed, release 2.
        assert_eq!(introduction[2].body, bytes("01 00 00 00 b8 27 ed 01 02 00"));
        Self { stream, next: 1 << 40 }
    }

    /// One control transfer: its status and data.
    fn control(
        &mut self,
        kind: u8,
        request: u8,
        value: u16,
        length: u16,
        data: &[u8],
    ) -> (u8, Vec<u8>) {
        self.next += 1;
        let [v0, v1] = value.to_le_bytes();
        let [l0, l1] = length.to_le_bytes();
        let mut body = vec![kind & 0x80, request, kind, 0, v0, v1, 0, 0, l0, l1];
        body.extend(data);
        Packet { kind: CONTROL_PACKET, id: self.next, body }.write(&mut self.stream, true).unwrap();
        let answer = Packet::read(&mut self.stream, true).unwrap();
        assert_eq!((answer.kind, answer.id), (CONTROL_PACKET, self.next));
        (answer.body[3], answer.body[10..].to_vec())
    }

    fn descriptor(&mut self, kind: u8, value: u16) -> Vec<u8> {
        let (status, data) = self.control(kind, 6, value, 255, &[]);
        assert_eq!(status, 0);
        data
    }

    fn set_report(&mut self, report: &[u8]) {
        assert_eq!(self.control(0x21, 9, 0x0301, 9, report), (0, vec![]));
    }

    fn get_report(&mut self) -> Vec<u8> {
        let (status, report) = self.control(0xa1, 1, 0x0301, 9, &[]);
        assert_eq!((status, report.len()), (0, 9));
        report
    }
}

struct Bench {
    _folder: Folder,
    listener: UnixListener,
    light: Blink1,
}

fn bench() -> Bench {
    let folder = Folder::new("light").unwrap();
    let socket = folder.file("light0");
    let listener = UnixListener::bind(&socket).unwrap();
    let light = Blink1::new(Kind::Mk2, 1).unwrap();
    light.plug(socket).unwrap();
    Bench { _folder: folder, listener, light }
}

#[test]
fn descriptors_are_those_of_an_mk2() {
    let bench = bench();
    let mut host = Host::accept(&bench.listener);
    let expected = vectors().descriptors;

    assert_eq!(host.descriptor(0x80, 0x0100), bytes(&expected.device));
    assert_eq!(host.descriptor(0x80, 0x0200), bytes(&expected.configuration));
    assert_eq!(host.descriptor(0x81, 0x2200), bytes(&expected.report));
    assert_eq!(host.descriptor(0x80, 0x0303), bytes(&expected.serial));
    assert_eq!(
        host.control(0x80, 6, 0x0600, 10, &[]),
        (4, vec![]),
        "a full-speed device has no qualifier: stall"
    );
}

#[test]
fn every_command_answers_as_the_document_says() {
    let bench = bench();
    let mut host = Host::accept(&bench.listener);
    for Exchange { what, send, reply } in vectors().exchange {
        for report in &send {
            host.set_report(&bytes(report));
        }
        let expected = bytes(&reply);
        assert_eq!(host.get_report()[..expected.len()], expected, "{what}");
    }
}

#[test]
fn a_plug_that_is_pulled_goes_dark_and_one_put_back_comes_again() {
    let bench = bench();
    let mut host = Host::accept(&bench.listener);
    host.set_report(&bytes("01 6e ff 00 00 00 00 00 00"));
    assert_eq!(bench.light.colour(Led::First), Colour::rgb(255, 0, 0));

    bench.light.unplug();
    assert_eq!(Packet::read(&mut host.stream, true).unwrap().kind, DEVICE_DISCONNECT);
    assert_eq!(bench.light.colour(Led::First), Colour::OFF);
    let causes: Vec<Cause> = bench.light.record().all().iter().map(|shown| shown.cause).collect();
    assert_eq!(causes, [Cause::Set, Cause::Set, Cause::PowerLost, Cause::PowerLost]);

    let path = bench.listener.local_addr().unwrap().as_pathname().unwrap().to_path_buf();
    bench.light.plug(path).unwrap();
    Host::accept(&bench.listener);
}

#[test]
fn a_machine_that_loses_power_takes_its_light_with_it() {
    let bench = bench();
    let mut host = Host::accept(&bench.listener);
    host.set_report(&bytes("01 6e ff 00 00 00 00 00 00"));

    drop(host);
    let again =
        thread::scope(|scope| scope.spawn(|| Host::accept(&bench.listener)).join()).unwrap();

    assert_eq!(bench.light.colour(Led::First), Colour::OFF);
    drop(again);
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn device(reports: &[(u64, &str)]) -> Device {
    let mut device = Device::new(Kind::Mk2);
    for (at, report) in reports {
        device.set_report(&bytes(report), ms(*at));
    }
    device
}

/// Time, LED (1 or 2), red, milliseconds of fade and cause of each change.
fn told(device: &mut Device, until: u64) -> Vec<String> {
    let record = device.record(ms(until)).clone();
    let line = |shown: &Shown| {
        let led = if shown.led == Led::First { 1 } else { 2 };
        let (at, fade) = (shown.at.as_millis(), shown.fade.as_millis());
        format!("{at} led{led} red {} in {fade} {:?}", shown.target.red, shown.cause)
    };
    record.all().iter().map(line).collect()
}

/// Line 0: LED 1 red at once; line 1: it stays for 200 ms; line 2: black in 300 ms.
const BLINK: [(u64, &str); 4] = [
    (0, "01 6c 01"),
    (0, "01 50 ff 00 00 00 00 00"),
    (0, "01 50 ff 00 00 00 14 01"),
    (0, "01 50 00 00 00 00 1e 02"),
];

#[test]
fn a_pattern_plays_its_lines_in_their_own_time() {
    let mut device = device(&[&BLINK[..], &[(1000, "01 70 01 00 02 02")]].concat());

    let told = told(&mut device, 5000);

    assert_eq!(
        told,
        [
            "1000 led1 red 255 in 0 Pattern { line: 0 }",
            "1001 led1 red 255 in 200 Pattern { line: 1 }",
            "1201 led1 red 0 in 300 Pattern { line: 2 }",
            "1501 led1 red 255 in 0 Pattern { line: 0 }",
            "1502 led1 red 255 in 200 Pattern { line: 1 }",
            "1702 led1 red 0 in 300 Pattern { line: 2 }",
        ]
    );
    assert_eq!(device.next_change(ms(5000)), None, "two rounds were asked for");
}

#[test]
fn nobody_tickles_and_the_light_shows_it_by_itself() {
    let mut device = device(&BLINK);
    // 1 s, keep what is shown, then play lines 1 to 1; repeated after 600 ms, then never again.
    device.set_report(&bytes("01 6e 0a 00 00 00 00 00"), ms(10));
    device.set_report(&bytes("01 44 01 00 64 01 01 01"), ms(100));
    device.set_report(&bytes("01 44 01 00 64 01 01 01"), ms(700));

    assert_eq!(device.next_change(ms(1650)), Some(ms(1700)));
    let told = told(&mut device, 1950);

    assert_eq!(
        told,
        [
            "10 led1 red 10 in 0 Set",
            "10 led2 red 10 in 0 Set",
            "1700 led1 red 255 in 200 ServerDown { line: 1 }",
            "1900 led1 red 255 in 200 ServerDown { line: 1 }",
        ]
    );
}

#[test]
fn a_tickle_that_is_switched_off_never_fires() {
    let mut device = device(&BLINK);
    device.set_report(&bytes("01 44 01 00 64 01 01 01"), ms(100));
    device.set_report(&bytes("01 44 00 00 64 01 00 00"), ms(700));

    assert_eq!(told(&mut device, 60_000), [""; 0]);
}

#[test]
fn a_tickle_that_does_not_keep_goes_dark_at_once() {
    let mut device = device(&[(0, "01 6e 0a 00 00 00 00 01"), (50, "01 44 01 00 64 00 00 00")]);

    let told = told(&mut device, 60);

    assert_eq!(
        told,
        ["0 led1 red 10 in 0 Set", "50 led1 red 0 in 0 Tickle", "50 led2 red 0 in 0 Tickle"]
    );
}

#[test]
fn only_what_was_saved_survives_the_loss_of_power() {
    let red_at_0 = (0, "01 50 ff 00 00 00 14 00");
    let mut device = device(&[red_at_0, (0, "01 57 be ef ca fe"), (0, "01 50 80 00 00 00 14 01")]);

    device.lose_power(ms(100));
    device.set_report(&bytes("01 52 00 00 00 00 00 00"), ms(200));
    let saved = device.report();
    device.set_report(&bytes("01 52 00 00 00 00 00 01"), ms(200));

    assert_eq!(saved[2], 255);
    assert_eq!(device.report()[2], 0);
}

#[test]
fn an_mk1_has_one_led() {
    let mut device = Device::new(Kind::Mk1);
    device.set_report(&bytes("01 6e ff 00 00 00 00 02"), ms(0));

    assert_eq!(told(&mut device, 1), ["0 led1 red 255 in 0 Set"]);
}
