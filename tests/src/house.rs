// SPDX-License-Identifier: Apache-2.0
//! The house that PID 1 makes for its services, as a table of its own: mounts, links, settings, groups.
//!
//! Written by hand from what kubelet, containerd and runc ask for. What PID 1's tables say is not read here.

use anyhow::{Context, Result, ensure};

use crate::Node;

/// Looks at all of it.
///
/// # Errors
/// Something is missing or otherwise; all of it is told.
pub fn stands(node: &Node) -> Result<()> {
    let mut faults = mounts(node)?;
    faults.extend(links(node)?);
    faults.extend(values(node)?);
    faults.extend(modes(node)?);
    ensure!(faults.is_empty(), "the house differs:\n{}", faults.join("\n"));
    Ok(())
}

/// Point, kind, and options that must be there.
const MOUNTS: [(&str, &str, &str); 19] = [
    ("/", "erofs", "ro,nodev"),
    ("/proc", "proc", "rw,nosuid,nodev,noexec"),
    ("/sys", "sysfs", "rw,nosuid,nodev,noexec"),
    ("/dev", "devtmpfs", "rw,nosuid"),
    ("/run", "tmpfs", "rw,nosuid,nodev,mode=755"),
    ("/dev/pts", "devpts", "rw,nosuid,noexec,gid=5,mode=620,ptmxmode=000"),
    ("/dev/shm", "tmpfs", "rw,nosuid,nodev,noexec"),
    ("/dev/mqueue", "mqueue", "rw,nosuid,nodev,noexec"),
    ("/dev/hugepages", "hugetlbfs", "rw,nosuid,nodev"),
    ("/tmp", "tmpfs", "rw,nosuid,nodev,noexec"),
    ("/etc", "tmpfs", "rw,nosuid,nodev,noexec,size=16384k,mode=755"),
    ("/opt/cni/bin", "tmpfs", "rw,nosuid,nodev,mode=755"),
    ("/sys/fs/cgroup", "cgroup2", "rw,nosuid,nodev,noexec,nsdelegate,memory_recursiveprot"),
    ("/sys/fs/bpf", "bpf", "rw,nosuid,nodev,noexec,mode=700"),
    ("/sys/kernel/security", "securityfs", "rw,nosuid,nodev,noexec"),
    ("/sys/fs/pstore", "pstore", "rw,nosuid,nodev,noexec"),
    ("/sys/firmware/efi/efivars", "efivarfs", "ro,nosuid,nodev,noexec"),
    ("/state", "ext4", "rw,nosuid,nodev,noexec,noatime"),
    ("/var", "ext4", "rw,noatime"),
];

fn mounts(node: &Node) -> Result<Vec<String>> {
    let text = node.machine.agent().read_text("/proc/mounts")?;
    let mut faults = Vec::new();
    for (point, kind, options) in MOUNTS {
        let fields = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let last = text.lines().map(fields).rfind(|row| row.get(1).is_some_and(|at| at == point));
        let Some([_, _, found, has, ..]) = last.as_deref() else {
            faults.push(format!("{point} is not mounted"));
            continue;
        };
        let lacks = |option: &&str| !has.split(',').any(|had| had == *option);
        if found != kind || options.split(',').any(|option| lacks(&option)) {
            faults.push(format!("{point} is {found} with {has}, not {kind} with {options}"));
        }
    }
    // Pods' mounts must be seen on the node and by each other (mountPropagation: Bidirectional).
    let text = node.machine.agent().read_text("/proc/self/mountinfo")?;
    let root = text.lines().find(|line| line.split(' ').nth(4) == Some("/")).context("no root")?;
    if !root.contains(" shared:") {
        faults.push(format!("/ is not shared: {root}"));
    }
    Ok(faults)
}

/// Link and where it leads, proc(5) and the file hierarchy standard.
const LINKS: [(&str, &str); 8] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/log", "/run/systemd/journal/dev-log"),
    ("/etc/mtab", "/proc/self/mounts"),
    ("/etc/os-release", "/usr/lib/os-release"),
    ("/var/run", "/run"),
];

fn links(node: &Node) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for (link, target) in LINKS {
        let found = node.machine.agent().run(&["/usr/bin/busybox", "readlink", link])?.stdout;
        let found = found.trim();
        if found != target {
            faults.push(format!("{link} leads to {found:?}, not to {target}"));
        }
    }
    Ok(faults)
}

/// File and what it says.
const VALUES: [(&str, &str); 29] = [
    ("/proc/sys/vm/overcommit_memory", "1"),
    ("/proc/sys/vm/panic_on_oom", "0"),
    ("/proc/sys/kernel/panic", "10"),
    ("/proc/sys/kernel/panic_on_oops", "1"),
    ("/proc/sys/kernel/keys/root_maxkeys", "1000000"),
    ("/proc/sys/kernel/keys/root_maxbytes", "25000000"),
    ("/proc/sys/net/ipv4/ip_forward", "1"),
    ("/proc/sys/net/ipv6/conf/all/forwarding", "1"),
    ("/proc/sys/net/ipv6/conf/default/forwarding", "1"),
    ("/proc/sys/net/ipv6/conf/default/accept_ra", "0"),
    ("/proc/sys/net/ipv6/fib_multipath_hash_policy", "1"),
    ("/proc/sys/kernel/pid_max", "262144"),
    ("/proc/sys/fs/inotify/max_user_instances", "8192"),
    ("/proc/sys/fs/inotify/max_user_watches", "524288"),
    ("/proc/sys/kernel/kptr_restrict", "2"),
    ("/proc/sys/kernel/dmesg_restrict", "1"),
    ("/proc/sys/kernel/unprivileged_bpf_disabled", "1"),
    ("/proc/sys/fs/protected_hardlinks", "1"),
    ("/proc/sys/fs/protected_symlinks", "1"),
    ("/proc/sys/fs/protected_fifos", "1"),
    ("/proc/sys/fs/protected_regular", "1"),
    // kubelet asks for these six in the root's group, and once it runs pods there has all that the kernel knows.
    ("/sys/fs/cgroup/cgroup.subtree_control", "cpuset cpu io memory hugetlb pids rdma misc"),
    ("/sys/fs/cgroup/podruntime/cgroup.subtree_control", "cpuset cpu io memory hugetlb pids"),
    // Of 2 GiB: containerd's 196 MiB and kubelet's 96 MiB, and above them both together.
    ("/sys/fs/cgroup/podruntime/containerd/memory.min", "205520896"),
    ("/sys/fs/cgroup/podruntime/kubelet/memory.min", "100663296"),
    ("/sys/fs/cgroup/podruntime/memory.min", "306184192"),
    ("/sys/fs/cgroup/init/memory.min", "8388608"),
    ("/proc/1/oom_score_adj", "-1000"),
    ("/proc/1/cgroup", "0::/init"),
];

fn values(node: &Node) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for (path, wanted) in VALUES {
        let found =
            node.machine.agent().read_text(path).unwrap_or_else(|refusal| refusal.to_string());
        if found.trim() != wanted {
            faults.push(format!("{path} says {:?}, not {wanted}", found.trim()));
        }
    }
    let id = node.machine.agent().read_text("/etc/machine-id")?;
    let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    // machine-id(5): 32 lower-case hex digits and a newline, and not all of them 0.
    let digits = id.strip_suffix('\n').unwrap_or_default();
    if digits.len() != 32 || !digits.chars().all(is_hex) || digits.chars().all(|c| c == '0') {
        faults.push(format!("/etc/machine-id says {id:?}"));
    }
    Ok(faults)
}

/// Devices and who may open them. /dev/kvm is not there under emulation.
const MODES: [(&str, &str); 3] =
    [("/dev/net/tun", "666"), ("/dev/fuse", "666"), ("/dev/null", "666")];

fn modes(node: &Node) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for (path, wanted) in MODES {
        let found = node.run(&["/usr/bin/busybox", "stat", "-c", "%a", path])?;
        if found.trim() != wanted {
            faults.push(format!("{path} has mode {}, not {wanted}", found.trim()));
        }
    }
    Ok(faults)
}
