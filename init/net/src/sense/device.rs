// SPDX-License-Identifier: Apache-2.0
//! What sysfs says of a link: the device behind it, its speed.

use std::path::Path;

use crate::think::place::place;

/// Where an Ethernet port is; none for a link without a device behind it (veth, bridge, dummy)
/// and for wireless ones.
pub(crate) fn port_place(sys: &Path, name: &str) -> Option<String> {
    let link = sys.join("class/net").join(name);
    if link.join("phy80211").exists() {
        return None;
    }
    let device = std::fs::canonicalize(link.join("device")).ok()?;
    let port = number(&link.join("dev_port")).unwrap_or(0);
    Some(place(&device.to_string_lossy(), port))
}

/// Mbit/s; none where the driver does not tell: it answers EINVAL, or -1 for unknown.
pub(crate) fn speed_mbit(sys: &Path, name: &str) -> Option<u32> {
    number(&sys.join("class/net").join(name).join("speed"))
}

fn number(file: &Path) -> Option<u32> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}
