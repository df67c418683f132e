// SPDX-License-Identifier: Apache-2.0
//! Lights on the machine's own USB sockets, through hidapi and /dev/hidraw*.

use std::ffi::CString;

use hidapi::{HidApi, HidDevice, HidError};

use crate::command::Report;
use crate::slot::{Bus, Plugged, Refusal, Wire};

/// hidapi, which looks into sysfs and needs no daemon.
pub(crate) struct UsbSockets {
    hid: HidApi,
}

impl UsbSockets {
    pub(crate) fn open() -> Result<Self, Refusal> {
        HidApi::new().map(|hid| Self { hid }).map_err(refused)
    }
}

impl Bus for UsbSockets {
    type Wire = HidDevice;

    fn plugged(&mut self) -> Result<Vec<Plugged>, Refusal> {
        self.hid.reset_devices().map_err(refused)?;
        self.hid.add_devices(VENDOR, PRODUCT).map_err(refused)?;
        let mut found: Vec<Plugged> = Vec::new();
        for light in self.hid.device_list() {
            let path = light.path().to_string_lossy().into_owned();
            let serial = light.serial_number().unwrap_or_default().to_owned();
            // hidapi lists a device once for each of its HID usages.
            if found.iter().all(|known| known.path != path) {
                found.push(Plugged { path, serial });
            }
        }
        Ok(found)
    }

    fn open(&mut self, path: &str) -> Result<HidDevice, Refusal> {
        let path = CString::new(path).map_err(|fault| Refusal(fault.to_string()))?;
        self.hid.open_path(&path).map_err(refused)
    }
}

impl Wire for HidDevice {
    fn send(&mut self, report: Report) -> Result<(), Refusal> {
        self.send_feature_report(&report).map_err(refused)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn refused(error: HidError) -> Refusal {
    Refusal(error.to_string())
}

/// ThingM's blink(1), all models.
const VENDOR: u16 = 0x27b8;
const PRODUCT: u16 = 0x01ed;
