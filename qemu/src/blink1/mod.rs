// SPDX-License-Identifier: Apache-2.0
//! An emulated blink(1): a USB device behind usbredir that writes down all it showed.
//!
//! ```text
//!  guest's HID stack ─► QEMU usb-redir ─► session (usbredir 0.7) ─► usb (control transfers) ─► device (firmware)
//!                                                                                   └─► record ─► seen
//! ```
//! `device` is the firmware as its documentation describes it, without a clock of its own: whoever looks says what
//! time it is, and all that was due happens first. The power of the USB socket is its power: with it go the RAM and
//! the colours.
//!
//! Deliberately absent: report id 2 (the mk3's notes, startup parameters, boot loader) and gamma correction.

mod device;
mod plug;
mod record;
mod seen;
mod session;
mod usb;
mod wire;

#[cfg(test)]
mod tests;

pub use device::Kind;
pub use plug::Blink1;
pub use record::{Cause, Colour, Led, Record, Shown};
pub use seen::{Hue, Rhythm, Seen};
