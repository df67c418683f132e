// SPDX-License-Identifier: Apache-2.0
//! The file systems of a node, one row each.

use std::ffi::CString;

use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags};

use crate::again::thrice;

/// One row.
pub(crate) struct Mount {
    pub(crate) target: &'static str,
    kind: &'static str,
    flags: MountFlags,
    options: &'static str,
    /// The kernel may have been built without it.
    may_lack: bool,
}

/// Why a file system could not be mounted. The node goes on: what needs it says so.
#[derive(Debug, thiserror::Error)]
#[error("mount {target} as {kind}")]
pub(crate) struct MountError {
    target: &'static str,
    kind: &'static str,
    source: Errno,
}

const SAFE: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);
const NOSUID: MountFlags = MountFlags::NOSUID;
const NO_DEVICES: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);
const READ_ONLY: MountFlags = SAFE.union(MountFlags::RDONLY);

/// In the initramfs already: modules, the loop device and the kernel's log need them.
#[rustfmt::skip]
pub(crate) const FIRST: [Mount; 4] = [
    row("/proc", "proc",     SAFE,   ""),
    row("/sys",  "sysfs",    SAFE,   ""),
    row("/dev",  "devtmpfs", NOSUID, "mode=0755"),
    row("/run",  "tmpfs",    NO_DEVICES, "mode=0755,size=25%"),
];

/// In the root. /etc and /var are made writable here; `storage` mounts DATA over /var.
#[rustfmt::skip]
const REST: [Mount; 17] = [
    row("/dev/pts",       "devpts",    NOSUID.union(MountFlags::NOEXEC), "ptmxmode=000,mode=620,gid=5"),
    row("/dev/shm",       "tmpfs",     SAFE, "mode=1777"),
    row("/dev/mqueue",    "mqueue",    SAFE, ""),
    opt("/dev/hugepages", "hugetlbfs", NO_DEVICES, ""),
    row("/tmp",           "tmpfs",     SAFE, "mode=1777,size=10%"),
    row("/etc",           "tmpfs",     SAFE, "mode=0755,size=16m"),
    // A pod's programs are executed from here while there is no DATA.
    row("/var",           "tmpfs",     NO_DEVICES, "mode=0755,size=40%"),
    row("/opt/cni/bin",   "tmpfs",     NO_DEVICES, "mode=0755,size=5%"),
    row("/sys/fs/cgroup", "cgroup2",   SAFE, "nsdelegate,memory_recursiveprot"),
    opt("/sys/fs/bpf",    "bpf",       SAFE, "mode=0700"),
    opt("/sys/kernel/security", "securityfs", SAFE, ""),
    opt("/sys/kernel/tracing",  "tracefs",    SAFE, ""),
    opt("/sys/kernel/debug",    "debugfs",    SAFE, ""),
    opt("/sys/kernel/config",   "configfs",   SAFE, ""),
    opt("/sys/fs/pstore",       "pstore",     SAFE, ""),
    // Read-only: a wrong write there bricks some machines.
    opt("/sys/firmware/efi/efivars", "efivarfs", READ_ONLY, ""),
    opt("/proc/sys/fs/binfmt_misc",  "binfmt_misc", SAFE, ""),
];

const fn row(
    target: &'static str,
    kind: &'static str,
    flags: MountFlags,
    options: &'static str,
) -> Mount {
    Mount { target, kind, flags, options, may_lack: false }
}

const fn opt(
    target: &'static str,
    kind: &'static str,
    flags: MountFlags,
    options: &'static str,
) -> Mount {
    Mount { target, kind, flags, options, may_lack: true }
}

/// Mounts what the initramfs needs.
pub(crate) fn first() -> Vec<MountError> {
    mount_all(&FIRST)
}

/// Mounts the rest, and makes all of it shared: pods' mounts must be seen (Bidirectional).
pub(crate) fn rest() -> Vec<MountError> {
    let mut refused = mount_all(&REST);
    let shared = MountPropagationFlags::SHARED | MountPropagationFlags::REC;
    if let Err(source) = rustix::mount::mount_change("/", shared) {
        refused.push(MountError { target: "/", kind: "shared", source });
    }
    refused
}

fn mount_all(rows: &'static [Mount]) -> Vec<MountError> {
    rows.iter().filter_map(|mount| mount_one(mount).err()).collect()
}

fn mount_one(mount: &'static Mount) -> Result<(), MountError> {
    // A folder that cannot be made is told by the mount itself.
    let _ = std::fs::create_dir_all(mount.target);
    let options = CString::new(mount.options).unwrap_or_default();
    let Mount { target, kind, flags, .. } = *mount;
    match thrice(|| rustix::mount::mount(kind, target, kind, flags, &*options)) {
        Ok(()) | Err(Errno::BUSY) => Ok(()),
        Err(Errno::NODEV | Errno::NOENT | Errno::OPNOTSUPP | Errno::INVAL) if mount.may_lack => {
            Ok(())
        }
        Err(source) => Err(MountError { target, kind, source }),
    }
}
