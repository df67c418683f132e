// SPDX-License-Identifier: Apache-2.0
//! Devices that any user may open, as on any distribution: what they reach is the opener's own. The
//! kernel makes them for root alone.

use std::path::Path;

use kubermesh_sys::files;

const FOR_ALL: [&str; 3] = ["fuse", "kvm", "net/tun"];

/// Opens this device, named as in /dev, to all where it is one of them.
pub(crate) fn open_to_all(name: &str) {
    if FOR_ALL.contains(&name) {
        // One that is gone again has no mode.
        let _ = files::open_to_all(&Path::new("/dev").join(name));
    }
}
