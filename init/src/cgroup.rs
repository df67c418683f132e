// SPDX-License-Identifier: Apache-2.0
//! Which cgroup a process is in, below the root that PID 1 sees.

use std::path::Path;

use kubermesh_sys::files;

/// That of this process, by its number or `self`; none where it is gone.
pub(crate) fn of(pid: &str) -> Option<String> {
    let text = files::read(Path::new(&format!("/proc/{pid}/cgroup"))).ok()?;
    unified(&text).map(str::to_owned)
}

/// cgroups(7): a kernel that has version 1 beside version 2 writes a line for each of its hierarchies.
fn unified(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("0::/"))
}

#[cfg(test)]
mod tests {
    use super::unified;

    #[test]
    fn the_line_of_version_2_counts() {
        assert_eq!(unified("0::/system/net\n"), Some("system/net"));
        assert_eq!(unified("8:pids:/\n4:memory:/x\n0::/init\n"), Some("init"));
        assert_eq!(unified("8:pids:/\n"), None);
    }
}
