// SPDX-License-Identifier: Apache-2.0
//! The kernel's settings, one row each, with its reason; and the links that programs expect in /dev.

/// `/proc/sys` path and value.
#[rustfmt::skip]
pub(super) const SYSCTLS: &[(&str, &str)] = &[
    // kubelet refuses to start with protectKernelDefaults and other values. It asks for
    // kernel/panic_on_oops too, which act::modules sets after the cold plug.
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
    // A router. `default` before the ports appear.
    ("net/ipv4/ip_forward", "1"),
    ("net/ipv6/conf/all/forwarding", "1"),
    ("net/ipv6/conf/default/forwarding", "1"),
    // A mesh port takes no advice from its neighbour; `net` says otherwise for an uplink.
    ("net/ipv6/conf/default/accept_ra", "0"),
    // Two cables to the same neighbour are two next hops: hash over ports too.
    ("net/ipv6/fib_multipath_hash_policy", "1"),
    // Many pods, each with many files and watches.
    ("kernel/pid_max", "262144"),
    ("fs/inotify/max_user_instances", "8192"),
    ("fs/inotify/max_user_watches", "524288"),
    // Hardening that costs a pod nothing.
    ("kernel/kptr_restrict", "2"),
    ("kernel/dmesg_restrict", "1"),
    ("kernel/unprivileged_bpf_disabled", "1"),
    ("fs/protected_hardlinks", "1"),
    ("fs/protected_symlinks", "1"),
    ("fs/protected_fifos", "1"),
    ("fs/protected_regular", "1"),
];

/// Link and where it leads.
pub(super) const LINKS: &[(&str, &str)] = &[
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    // Where the log worker listens: it makes nothing in /dev.
    ("/dev/log", "/run/systemd/journal/dev-log"),
    ("/var/run", "/run"),
    ("/etc/mtab", "/proc/self/mounts"),
    ("/etc/os-release", "/usr/lib/os-release"),
];

/// Folders that somebody expects and nobody makes.
pub(super) const FOLDERS: &[(&str, u32)] = &[
    ("/run/kubermesh", 0o755),
    ("/run/kubermesh/health", 0o700),
    ("/run/bird", 0o755),
    ("/run/cni", 0o700),
    ("/run/containerd", 0o711),
    ("/run/netns", 0o755),
    ("/run/cdi", 0o755),
    ("/run/systemd/journal", 0o755),
    ("/etc/cni/net.d", 0o755),
    ("/etc/kubernetes/manifests", 0o755),
    ("/etc/kubernetes/pki", 0o700),
    ("/var/lib", 0o755),
    ("/var/log", 0o755),
];

/// Files that somebody expects. kubelet does not start without users and groups.
pub(super) const FILES: &[(&str, &str)] = &[
    (
        "/etc/passwd",
        "root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n",
    ),
    ("/etc/group", "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n"),
    ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
    ("/etc/hosts", "127.0.0.1 localhost\n::1 localhost ip6-localhost\n"),
    ("/etc/resolv.conf", ""),
    ("/etc/machine-id", "uninitialized\n"),
];

/// What kubelet validates in the root's cgroup.subtree_control.
pub(super) const CONTROLLERS: &[&str] = &["+cpu", "+cpuset", "+memory", "+pids", "+io", "+hugetlb"];

/// Modules that no device announces and somebody needs: pods that ask for /dev/net/tun or
/// /dev/fuse, and where the record of a crash is.
pub(crate) const MODULES: &[&str] = &["br_netfilter", "tun", "fuse", "efi_pstore"];
