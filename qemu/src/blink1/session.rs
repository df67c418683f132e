// SPDX-License-Identifier: Apache-2.0
//! One stay of a device in a USB socket: from the hello to the end of the connection.

use std::io::{self, Read, Write};

use super::usb::{Identity, Setup};
use super::wire::*;

/// Answers everything that arrives until the other side is gone. `control` does the control transfers.
pub(super) fn serve(
    stream: &mut (impl Read + Write),
    identity: &Identity,
    mut control: impl FnMut(Setup, &[u8]) -> Option<Vec<u8>>,
) -> io::Result<()> {
    introduce(stream, identity)?;
    let mut configuration = 1;
    loop {
        let packet = Packet::read(stream, true)?;
        let first = packet.body.first().copied().unwrap_or(0);
        let id = packet.id;
        match packet.kind {
            SET_CONFIGURATION => {
                configuration = first;
                send(stream, CONFIGURATION_STATUS, id, vec![OK, configuration], true)?;
            }
            GET_CONFIGURATION => {
                send(stream, CONFIGURATION_STATUS, id, vec![OK, configuration], true)?
            }
            SET_ALT_SETTING | GET_ALT_SETTING => {
                send(stream, ALT_SETTING_STATUS, id, vec![OK, first, 0], true)?
            }
            START_INTERRUPT_RECEIVING | STOP_INTERRUPT_RECEIVING => {
                send(stream, INTERRUPT_RECEIVING_STATUS, id, vec![OK, first], true)?;
            }
            CONTROL_PACKET => {
                let body = transfer(&packet.body, &mut control)?;
                send(stream, CONTROL_PACKET, id, body, true)?;
            }
            // A reset of the bus leaves the light as it is. The rest is for kinds of device that this is not.
            RESET => {}
            _ => {}
        }
    }
}

fn introduce(stream: &mut (impl Read + Write), identity: &Identity) -> io::Result<()> {
    send(stream, HELLO, 0, hello(), false)?;
    let answer = Packet::read(stream, false)?;
    let theirs = capabilities(&answer);
    if answer.kind != HELLO || theirs & REQUIRED != REQUIRED {
        return Err(io::Error::other("the other side of the USB socket speaks an older usbredir"));
    }
    // Order of the protocol: what the device has, then that it is there.
    send(stream, EP_INFO, 0, endpoints(), true)?;
    send(stream, INTERFACE_INFO, 0, interfaces(), true)?;
    send(stream, DEVICE_CONNECT, 0, connect(identity), true)
}

/// The packet that ends a stay in order.
pub(super) fn disconnect(stream: &mut impl Write) -> io::Result<()> {
    send(stream, DEVICE_DISCONNECT, 0, vec![], true)
}

fn send(
    stream: &mut impl Write,
    kind: u32,
    id: u64,
    body: Vec<u8>,
    wide_ids: bool,
) -> io::Result<()> {
    Packet { kind, id, body }.write(stream, wide_ids)
}

fn hello() -> Vec<u8> {
    let mut body = b"kubermesh blink(1)".to_vec();
    body.resize(VERSION_BYTES, 0);
    body.extend(OFFERED.to_le_bytes());
    body
}

fn capabilities(hello: &Packet) -> u32 {
    let word =
        hello.body.get(VERSION_BYTES..VERSION_BYTES + 4).and_then(|word| word.try_into().ok());
    word.map_or(0, u32::from_le_bytes)
}

fn connect(identity: &Identity) -> Vec<u8> {
    let [low, high] = identity.release().to_le_bytes();
    vec![FULL_SPEED, 0, 0, 0, 0xb8, 0x27, 0xed, 0x01, low, high]
}

/// One interface, number 0, class HID; each list has 32 places.
fn interfaces() -> Vec<u8> {
    let mut body = 1_u32.to_le_bytes().to_vec();
    body.extend([0; 32]);
    body.extend(first_of_32(3, 0));
    body.extend([0; 64]);
    body
}

/// Types, intervals, interfaces and packet sizes of endpoints 0 to 15 out and 0 to 15 in.
fn endpoints() -> Vec<u8> {
    let (mut kinds, mut intervals, mut sizes) = ([NO_ENDPOINT; 32], [0; 32], [0_u16; 32]);
    (kinds[0], kinds[16], kinds[17]) = (CONTROL, CONTROL, INTERRUPT);
    intervals[17] = 10;
    (sizes[0], sizes[16], sizes[17]) = (8, 8, 8);
    let mut body = [kinds, intervals, [0; 32]].concat();
    body.extend(sizes.iter().flat_map(|size| size.to_le_bytes()));
    body
}

fn first_of_32(first: u8, rest: u8) -> [u8; 32] {
    let mut all = [rest; 32];
    all[0] = first;
    all
}

/// Endpoint, request, request type, status, value, index, length; then data on the way out.
fn transfer(
    body: &[u8],
    control: &mut impl FnMut(Setup, &[u8]) -> Option<Vec<u8>>,
) -> io::Result<Vec<u8>> {
    let Some((head, data)) = body.split_first_chunk::<CONTROL_HEADER>() else {
        return Err(io::Error::other("a control packet without its header"));
    };
    let [endpoint, request, kind, _, v0, v1, i0, i1, l0, l1] = *head;
    let pair = |low, high| u16::from_le_bytes([low, high]);
    let setup = Setup { kind, request, value: pair(v0, v1), length: pair(l0, l1) };
    let answer = control(setup, data);
    let status = if answer.is_some() { OK } else { STALL };
    let answer = answer.unwrap_or_default();
    let inward = kind & 0x80 != 0;
    let count =
        if inward { u16::try_from(answer.len()).map_err(io::Error::other)? } else { setup.length };
    let [n0, n1] = count.to_le_bytes();
    let mut reply = vec![endpoint, request, kind, status, v0, v1, i0, i1, n0, n1];
    if inward {
        reply.extend(answer);
    }
    Ok(reply)
}

const REQUIRED: u32 = CAN_CONNECT_VERSION | CAN_EP_PACKET_SIZE | CAN_WIDE_IDS;
/// QEMU lets nothing without long bulk packets on its xHCI, also what has no bulk endpoint.
const OFFERED: u32 = REQUIRED | CAN_LONG_BULK;
const VERSION_BYTES: usize = 64;
const CONTROL_HEADER: usize = 10;
const OK: u8 = 0;
const STALL: u8 = 4;
const FULL_SPEED: u8 = 1;
const CONTROL: u8 = 0;
const INTERRUPT: u8 = 3;
const NO_ENDPOINT: u8 = 255;
