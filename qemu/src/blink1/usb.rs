// SPDX-License-Identifier: Apache-2.0
//! What a blink(1) says about itself on the bus: descriptors, and the few control transfers of a HID device.
//! (USB 2.0 chapter 9, HID 1.11 chapters 6 and 7)

use std::time::Duration;

use super::device::{Device, Kind};

/// A SETUP packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup {
    pub(super) kind: u8,
    pub(super) request: u8,
    pub(super) value: u16,
    pub(super) length: u16,
}

/// Answers a control transfer; `None` is a stall.
pub(super) fn control(
    device: &mut Device,
    identity: &Identity,
    setup: Setup,
    data: &[u8],
    now: Duration,
) -> Option<Vec<u8>> {
    let [value_low, value_high] = setup.value.to_le_bytes();
    let mut answer = match (setup.kind, setup.request) {
        (0x80 | 0x81, GET_DESCRIPTOR) => identity.descriptor(value_high, value_low)?,
        (0x80..=0x82, GET_STATUS) => vec![0, 0],
        (HID_OUT, SET_REPORT) if value_high == FEATURE && value_low == 1 => {
            device.set_report(data, now);
            vec![]
        }
        (HID_IN, GET_REPORT) if value_high == FEATURE && value_low == 1 => device.report().to_vec(),
        (HID_OUT, SET_IDLE | SET_PROTOCOL) | (0x00..=0x02, CLEAR_FEATURE | SET_FEATURE) => vec![],
        _ => return None,
    };
    answer.truncate(usize::from(setup.length));
    Some(answer)
}

/// A device's model and serial number.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) kind: Kind,
    pub(super) serial: String,
}

impl Identity {
    fn descriptor(&self, kind: u8, number: u8) -> Option<Vec<u8>> {
        match (kind, number) {
            (1, _) => Some(self.device()),
            (2, 0) => Some(configuration()),
            (3, 0) => Some(vec![4, 3, 0x09, 0x04]),
            (3, 1) => Some(string("ThingM")),
            (3, 2) => Some(string(self.product())),
            (3, 3) => Some(string(&self.serial)),
            (0x21, _) => Some(hid()),
            (0x22, _) => Some(REPORT.to_vec()),
            _ => None,
        }
    }

    fn product(&self) -> &'static str {
        match self.kind {
            Kind::Mk1 => "blink(1)",
            Kind::Mk2 => "blink(1) mk2",
            Kind::Mk3 => "blink(1) mk3",
        }
    }

    fn device(&self) -> Vec<u8> {
        let [low, high] = self.release().to_le_bytes();
        // USB 2.0, class by interface, 8 bytes on endpoint 0, three strings, one configuration.
        vec![18, 1, 0x00, 0x02, 0, 0, 0, 8, 0xb8, 0x27, 0xed, 0x01, low, high, 1, 2, 3, 1]
    }

    /// Binary-coded decimal.
    pub(super) fn release(&self) -> u16 {
        match self.kind {
            Kind::Mk1 => 0x0001,
            Kind::Mk2 => 0x0002,
            Kind::Mk3 => 0x0003,
        }
    }
}

/// One HID interface with one interrupt endpoint on which nothing ever comes; bus-powered, 100 mA.
fn configuration() -> Vec<u8> {
    let mut all = vec![9, 2, 34, 0, 1, 1, 0, 0x80, 50];
    all.extend([9, 4, 0, 0, 1, 3, 0, 0, 0]);
    all.extend(hid());
    all.extend([7, 5, 0x81, 3, 8, 0, 10]);
    all
}

fn hid() -> Vec<u8> {
    let [low, high] = u16::try_from(REPORT.len()).unwrap_or(0).to_le_bytes();
    vec![9, 0x21, 0x01, 0x01, 0, 1, 0x22, low, high]
}

fn string(text: &str) -> Vec<u8> {
    let mut all = vec![0, 3];
    all.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    all[0] = u8::try_from(all.len()).unwrap_or(u8::MAX);
    all
}

/// Vendor page 0xff00, one application collection, feature report 1 of eight bytes.
const REPORT: [u8; 24] = [
    0x06, 0x00, 0xff, 0x09, 0x01, 0xa1, 0x01, 0x15, 0x00, 0x26, 0xff, 0x00, 0x75, 0x08, 0x85, 0x01,
    0x95, 0x08, 0x09, 0x00, 0xb2, 0x02, 0x01, 0xc0,
];

const GET_STATUS: u8 = 0;
const CLEAR_FEATURE: u8 = 1;
const SET_FEATURE: u8 = 3;
const GET_DESCRIPTOR: u8 = 6;
/// Class request to an interface, from and to the host.
const HID_IN: u8 = 0xa1;
const HID_OUT: u8 = 0x21;
const GET_REPORT: u8 = 1;
const SET_REPORT: u8 = 9;
const SET_IDLE: u8 = 10;
const SET_PROTOCOL: u8 = 11;
/// The high byte of `wValue` of a report.
const FEATURE: u8 = 3;
