// SPDX-License-Identifier: Apache-2.0
//! Where a port is, from its device's path in sysfs.
//!
//! ```text
//! /sys/devices/pci0000:00/0000:00:03.0/virtio0                        pci-0000:00:03.0
//! /sys/devices/pci0000:00/0000:00:14.0/usb1/1-2/1-2:1.0               usb-1-2:1.0
//! ```
//!
//! The same as long as nobody moves the card or the plug, however many others come and go.

/// The nearest PCI function or USB interface above a device; `device-<its own name>` where there
/// is neither. `port` tells ports of one device apart: `dev_port` of sysfs.
pub(crate) fn place(device: &str, port: u32) -> String {
    let above = device.rsplit('/').find_map(|part| {
        if is_usb_interface(part) {
            Some(format!("usb-{part}"))
        } else if is_pci_function(part) {
            Some(format!("pci-{part}"))
        } else {
            None
        }
    });
    let own = || format!("device-{}", device.rsplit('/').next().unwrap_or(device));
    let place = above.unwrap_or_else(own);
    if port == 0 { place } else { format!("{place}-port{port}") }
}

/// `1-2.3:1.0`: bus, plugs along the way, configuration, interface.
fn is_usb_interface(part: &str) -> bool {
    let Some((plug, interface)) = part.split_once(':') else { return false };
    let Some((bus, plugs)) = plug.split_once('-') else { return false };
    let Some((configuration, number)) = interface.split_once('.') else { return false };
    is_number(bus)
        && plugs.split('.').all(is_number)
        && is_number(configuration)
        && is_number(number)
}

/// `0000:01:00.0`: domain, bus, device, function.
fn is_pci_function(part: &str) -> bool {
    let Some((slot, function)) = part.split_once('.') else { return false };
    let mut numbers = slot.split(':');
    let lengths = [numbers.next(), numbers.next(), numbers.next()]
        .map(|number| number.filter(|digits| is_hex(digits)).map_or(0, str::len));
    matches!(lengths, [4..=8, 2, 2]) && numbers.next().is_none() && is_hex(function)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_named_by_its_nearest_bus() {
        for (device, port, expected) in [
            ("/sys/devices/pci0000:00/0000:00:03.0/virtio0", 0, "pci-0000:00:03.0"),
            ("/sys/devices/pci0000:00/0000:00:1c.0/0000:01:00.0", 0, "pci-0000:01:00.0"),
            ("/sys/devices/pci0000:00/0000:00:14.0/usb1/1-2/1-2:1.0", 0, "usb-1-2:1.0"),
            ("/sys/devices/pci0000:00/0000:00:14.0/usb1/1-2/1-2.4/1-2.4:2.1", 0, "usb-1-2.4:2.1"),
            ("/sys/devices/platform/soc/fd580000.ethernet", 0, "device-fd580000.ethernet"),
            ("/sys/devices/pci0000:00/0000:00:1c.0/0000:01:00.0", 1, "pci-0000:01:00.0-port1"),
            ("/sys/devices/pci10000:e0/10000:e0:06.0/10000:e1:00.0", 0, "pci-10000:e1:00.0"),
        ] {
            assert_eq!(place(device, port), expected, "{device}");
        }
    }
}
