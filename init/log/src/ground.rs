// SPDX-License-Identifier: Apache-2.0
//! Where everything is: a node's own paths, or the same under a test's folder.

use std::path::{Path, PathBuf};

/// The paths that the log worker touches.
#[derive(Clone, Debug)]
pub struct Ground {
    /// The store before STATE is there, and where there is none.
    pub memory: PathBuf,
    /// Where STATE is mounted.
    pub state: PathBuf,
    /// What is mounted: proc_mounts(5), which polls as urgent when that changes.
    pub mounts: PathBuf,
    /// The kernel's ring.
    pub kernel: PathBuf,
    /// journald's native socket.
    pub journal: PathBuf,
    /// syslog's.
    pub syslog: PathBuf,
    /// Where readers ask.
    pub readers: PathBuf,
    /// This boot's id.
    pub boot: PathBuf,
}

impl Ground {
    /// A node's.
    #[must_use]
    pub fn node() -> Self {
        Self::under(Path::new("/"))
    }

    /// The same below `root`.
    #[must_use]
    pub fn under(root: &Path) -> Self {
        Self {
            memory: root.join("run/kubermesh/log"),
            state: root.join("state"),
            mounts: root.join("proc/self/mounts"),
            kernel: root.join("dev/kmsg"),
            journal: root.join("run/systemd/journal/socket"),
            syslog: root.join("run/systemd/journal/dev-log"),
            readers: root.join("run/kubermesh/log/socket"),
            boot: root.join("proc/sys/kernel/random/boot_id"),
        }
    }

    /// This boot's id, 32 hex digits; zeros where the kernel does not tell.
    pub(crate) fn boot_id(&self) -> String {
        let told = std::fs::read_to_string(&self.boot).unwrap_or_default();
        let digits: String = told.chars().filter(char::is_ascii_hexdigit).take(32).collect();
        if digits.len() == 32 { digits } else { "0".repeat(32) }
    }

    /// STATE is mounted, rather than a folder of the root or, on a node that has none, memory.
    pub(crate) fn has_state(&self) -> bool {
        let Some(state) = self.state.to_str() else { return false };
        let mounts = std::fs::read_to_string(&self.mounts).unwrap_or_default();
        mounts.lines().any(|line| {
            let mut words = line.split(' ').skip(1);
            words.next() == Some(state) && words.next().is_some_and(|kind| kind != "tmpfs")
        })
    }
}
