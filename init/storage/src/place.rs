// SPDX-License-Identifier: Apache-2.0
//! Where on a machine everything is: a node's own paths, or a test's.

use std::path::PathBuf;
use std::time::Duration;

/// Paths and patience.
#[derive(Clone, Debug)]
pub struct Place {
    /// Where the firmware's variables are.
    pub efivars: PathBuf,
    /// sysfs.
    pub sysfs: PathBuf,
    /// Where the kernel shows what its last life left.
    pub pstore: PathBuf,
    /// devtmpfs.
    pub dev: PathBuf,
    /// STATE's mount point.
    pub state: PathBuf,
    /// DATA's mount point.
    pub var: PathBuf,
    /// The boot partition's file system: FAT everywhere but on a desk whose kernel has none.
    pub esp: &'static str,
    /// From the last news of any disk: USB sticks behind a hub take some seconds to appear, on a machine that is
    /// emulated beside others half a minute. Whoever gives up too early runs from memory until the next boot.
    pub stick_patience: Duration,
    /// From the last news of any port until a port without a driver is given up.
    pub port_patience: Duration,
}

impl Default for Place {
    fn default() -> Self {
        Self {
            efivars: "/sys/firmware/efi/efivars".into(),
            sysfs: "/sys".into(),
            pstore: "/sys/fs/pstore".into(),
            dev: "/dev".into(),
            state: "/state".into(),
            var: "/var".into(),
            esp: "vfat",
            stick_patience: Duration::from_secs(60),
            port_patience: Duration::from_secs(3),
        }
    }
}
