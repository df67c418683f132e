// SPDX-License-Identifier: Apache-2.0
//! The packets of usbredir 0.7, as far as a HID device needs them. (usb-redirection-protocol.md)
//!
//! A packet is type, length and id, then `length` bytes. Ids have 64 bits once both sides said that they can.
//! All numbers are little-endian.

use std::io::{self, Read, Write};

/// One packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) kind: u32,
    pub(super) id: u64,
    pub(super) body: Vec<u8>,
}

impl Packet {
    pub(super) fn read(from: &mut impl Read, wide_ids: bool) -> io::Result<Self> {
        let kind = number(from)?;
        let length = number(from)?;
        let low = number(from)?;
        let high = if wide_ids { number(from)? } else { 0 };
        if length > LONGEST {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("a packet of {length} bytes"),
            ));
        }
        let mut body = vec![0; usize::try_from(length).unwrap_or(0)];
        from.read_exact(&mut body)?;
        Ok(Self { kind, id: u64::from(high) << 32 | u64::from(low), body })
    }

    pub(super) fn write(&self, to: &mut impl Write, wide_ids: bool) -> io::Result<()> {
        let mut bytes = self.kind.to_le_bytes().to_vec();
        bytes.extend(u32::try_from(self.body.len()).map_err(io::Error::other)?.to_le_bytes());
        let id = self.id.to_le_bytes();
        bytes.extend(if wide_ids { &id[..] } else { &id[..4] });
        bytes.extend(&self.body);
        to.write_all(&bytes)
    }
}

fn number(from: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    from.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

/// Control transfers are at most 64 KiB.
const LONGEST: u32 = 1 << 17;

pub(super) const HELLO: u32 = 0;
pub(super) const DEVICE_CONNECT: u32 = 1;
pub(super) const DEVICE_DISCONNECT: u32 = 2;
pub(super) const RESET: u32 = 3;
pub(super) const INTERFACE_INFO: u32 = 4;
pub(super) const EP_INFO: u32 = 5;
pub(super) const SET_CONFIGURATION: u32 = 6;
pub(super) const GET_CONFIGURATION: u32 = 7;
pub(super) const CONFIGURATION_STATUS: u32 = 8;
pub(super) const SET_ALT_SETTING: u32 = 9;
pub(super) const GET_ALT_SETTING: u32 = 10;
pub(super) const ALT_SETTING_STATUS: u32 = 11;
pub(super) const START_INTERRUPT_RECEIVING: u32 = 15;
pub(super) const STOP_INTERRUPT_RECEIVING: u32 = 16;
pub(super) const INTERRUPT_RECEIVING_STATUS: u32 = 17;
pub(super) const CONTROL_PACKET: u32 = 100;

/// Bits of the capability word in a hello.
pub(super) const CAN_CONNECT_VERSION: u32 = 1 << 1;
pub(super) const CAN_EP_PACKET_SIZE: u32 = 1 << 4;
pub(super) const CAN_WIDE_IDS: u32 = 1 << 5;
pub(super) const CAN_LONG_BULK: u32 = 1 << 6;
