// SPDX-License-Identifier: Apache-2.0
//! Out of the initramfs into the EROFS root that lies in it as a file.
//!
//! runc cannot `pivot_root` while the root is the initramfs (containerd#1973), so the root is
//! mounted by a loop device and moved over `/`. The file stays open through the loop device; its
//! name is of no use any more.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;

use kubermesh_sys::loop_device::{self, LoopError};
use rustix::io::Errno;
use rustix::mount::MountFlags;

use super::mounts;
use crate::say::Voice;

/// Why the root cannot be entered. Told on the kernel's log; then the kernel panics and the
/// machine starts again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RootError {
    #[error("read {path}")]
    Read { path: &'static str, source: std::io::Error },
    #[error("load module {name}")]
    Module { name: String, source: Errno },
    #[error("attach /root.erofs")]
    Attach(#[from] LoopError),
    #[error("mount {device} on /sysroot as erofs")]
    Mount { device: String, source: Errno },
    #[error("make /sysroot the root")]
    Switch(#[source] Errno),
    #[error("execute /usr/lib/kubermesh/init")]
    Execute(#[source] std::io::Error),
}

/// Enters the root and executes the init that lies there. Comes back only when that failed.
pub(crate) fn enter() {
    let refused = mounts::first();
    let voice = Voice::open();
    for refusal in &refused {
        voice.tell(refusal);
    }
    voice.say(
        crate::say::Urgency::News,
        concat!("init ", env!("CARGO_PKG_VERSION"), " enters the root"),
    );
    let Err(error) = try_enter();
    voice.tell(&error);
}

fn try_enter() -> Result<std::convert::Infallible, RootError> {
    load_modules()?;
    let image = File::open("/root.erofs")
        .map_err(|source| RootError::Read { path: "/root.erofs", source })?;
    let device = loop_device::attach(&image)?;
    rustix::mount::mount(
        &*device.path,
        "/sysroot",
        "erofs",
        MountFlags::RDONLY | MountFlags::NODEV,
        None,
    )
    .map_err(|source| RootError::Mount { device: device.path.clone(), source })?;
    switch().map_err(RootError::Switch)?;
    Err(RootError::Execute(
        std::process::Command::new("/usr/lib/kubermesh/init").arg("--house").env_clear().exec(),
    ))
}

/// switch_root(8): the mounts come along, then the new root is moved over the old one.
fn switch() -> Result<(), Errno> {
    for target in mounts::FIRST.iter().map(|mount| mount.target) {
        rustix::mount::mount_move(target, format!("/sysroot{target}"))?;
    }
    rustix::process::chdir("/sysroot")?;
    rustix::mount::mount_move("/sysroot", "/")?;
    rustix::process::chroot(".")?;
    rustix::process::chdir("/")
}

fn load_modules() -> Result<(), RootError> {
    let path = "/modules/order";
    let order = std::fs::read_to_string(path).map_err(|source| RootError::Read { path, source })?;
    for name in order.lines() {
        let module = |source| RootError::Module { name: name.to_owned(), source };
        let file = File::open(Path::new("/modules").join(name)).map_err(|refusal| {
            module(refusal.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error))
        })?;
        match rustix::system::finit_module(&file, c"", 0) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(refusal) => return Err(module(refusal)),
        }
    }
    Ok(())
}
