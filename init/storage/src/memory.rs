// SPDX-License-Identifier: Apache-2.0
//! What stands in for STATE and DATA where there is no stick, and the folders that `/var` must have.

use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::Path;

use rustix::mount::MountAttrFlags;

use crate::error::StorageError;
use crate::mount::Mount;
use crate::room::Room;

/// Mounts a tmpfs of a bounded size in the room's place.
pub(crate) fn attach(room: Room, target: &Path) -> Result<(), StorageError> {
    let (size, attributes) = match room {
        Room::State => ("16m", MountAttrFlags::MOUNT_ATTR_NOEXEC),
        // Images and containers are in memory then: half of it, as tmpfs has it by default.
        Room::Data => ("50%", MountAttrFlags::empty()),
    };
    let options = [("size", size), ("mode", "0755")];
    Mount { kind: "tmpfs", source: None, options: &options, attributes }.attach(target)
}

/// Makes what node programs expect below `/var`.
pub(crate) fn lay_out(var: &Path) -> Result<(), StorageError> {
    for (name, mode) in FOLDERS {
        let path = var.join(name);
        let told = |source| StorageError::Path { attempt: "make", path: path.clone(), source };
        match std::fs::DirBuilder::new().mode(mode).create(&path) {
            Err(refusal) if refusal.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(told(refusal));
            }
            Ok(()) | Err(_) => {}
        }
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&path, mode).map_err(told)?;
    }
    for (name, to) in LINKS {
        let path = var.join(name);
        match symlink(to, &path) {
            Err(source) if source.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(StorageError::Path { attempt: "link", path, source });
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

const FOLDERS: [(&str, u32); 9] = [
    ("lib", 0o755),
    ("lib/containerd", 0o711),
    ("lib/cni", 0o755),
    // kubeadm's preflight check wants it closed to others.
    ("lib/etcd", 0o700),
    ("lib/kubelet", 0o755),
    ("log", 0o755),
    ("log/pods", 0o755),
    ("cache", 0o755),
    ("tmp", 0o1777),
];
const LINKS: [(&str, &str); 2] = [("run", "/run"), ("lock", "/run/lock")];
