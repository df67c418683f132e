// SPDX-License-Identifier: Apache-2.0
//! The power key as an input device, linux/input.h.
//!
//! EVIOCSMASK lets nothing but that key through, so that a keyboard's typing wakes nobody.

use nix::libc;
use rustix::fs::{Mode, OFlags};

use crate::Errno;
use crate::descriptor::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// An input device of which only the power key is heard.
#[derive(Debug)]
pub struct PowerKey {
    device: OwnedFd,
}

/// EV_KEY, EV_MSC (scan codes beside the keys) and KEY_POWER, linux/input-event-codes.h.
const EV_KEY: u16 = 1;
const EV_MSC: u32 = 4;
const KEY_POWER: u16 = 116;

impl PowerKey {
    /// Opens `/dev/input/eventN`; none where it is gone or has no power key.
    #[must_use]
    pub fn open(path: &str) -> Option<Self> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Self::over(rustix::fs::open(path, flags, Mode::empty()).ok()?)
    }

    fn over(device: OwnedFd) -> Option<Self> {
        let mut keys = [0_u8; 96];
        // SAFETY: the descriptor is open, and the buffer is as long as the request says.
        unsafe { ioctl::key_bits(device.as_raw_fd(), &raw mut keys) }.ok()?;
        let has_power = keys
            .get(usize::from(KEY_POWER / 8))
            .is_some_and(|byte| byte & (1 << (KEY_POWER % 8)) != 0);
        if !has_power {
            return None;
        }
        let mut only = [0_u8; 96];
        if let Some(byte) = only.get_mut(usize::from(KEY_POWER / 8)) {
            *byte = 1 << (KEY_POWER % 8);
        }
        // Type 0 would mask whole types (drivers/input/evdev.c, __evdev_is_filtered): left alone.
        for (kind, codes) in [(u32::from(EV_KEY), &only[..]), (EV_MSC, &[][..])] {
            let length = u32::try_from(codes.len()).unwrap_or(0);
            let mask = InputMask { kind, length, codes: codes.as_ptr() as u64 };
            // SAFETY: `codes` outlives the call and is as long as `length` says. A kernel without
            // masks refuses: then more is heard, and passed over by `take`.
            let _ = unsafe { ioctl::set_mask(device.as_raw_fd(), &raw const mask) };
        }
        Some(Self { device })
    }

    /// Whether the key has been pressed since the last call. Errors mean that the device is gone.
    ///
    /// # Errors
    /// ENODEV.
    pub fn was_pressed(&self) -> Result<bool, Errno> {
        let mut pressed = false;
        let mut bytes = [0_u8; 24 * 16];
        loop {
            let length = match rustix::io::read(&self.device, &mut bytes) {
                Ok(0) | Err(Errno::AGAIN) => return Ok(pressed),
                Ok(length) => length,
                Err(refusal) => return Err(refusal),
            };
            pressed |= holds_press(bytes.get(..length).unwrap_or_default());
        }
    }
}

/// Whether one of these events, as evdev gives them, is the power key going down.
#[must_use]
pub fn holds_press(events: &[u8]) -> bool {
    events.chunks_exact(24).filter_map(decode).any(|event| event == (EV_KEY, KEY_POWER, 1))
}

/// struct input_event: two words of time, type, code, value.
fn decode(event: &[u8]) -> Option<(u16, u16, i32)> {
    let at =
        |from: usize| event.get(from..from.checked_add(2)?).and_then(|bytes| bytes.try_into().ok());
    let value = event.get(20..24).and_then(|bytes| bytes.try_into().ok())?;
    Some((u16::from_ne_bytes(at(16)?), u16::from_ne_bytes(at(18)?), i32::from_ne_bytes(value)))
}

impl AsFd for PowerKey {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

/// struct input_mask.
#[repr(C)]
struct InputMask {
    kind: u32,
    length: u32,
    codes: u64,
}

type KeyBits = [u8; 96];

mod ioctl {
    use super::*;

    nix::ioctl_read!(key_bits, b'E', 0x21, KeyBits);
    nix::ioctl_write_ptr!(set_mask, b'E', 0x93, InputMask);
}

const _: () = assert!(size_of::<libc::input_event>() == 24);
