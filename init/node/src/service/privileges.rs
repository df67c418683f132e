// SPDX-License-Identifier: Apache-2.0
//! What a service may do: the table `[privileges]` of its file. All that it does not name is denied.
//!
//! ```text
//! PID 1: is there such a table? ─► kubermesh confine FILE -- COMMAND ─► Privileges::parse ─► COMMAND, confined
//! ```
//!
//! PID 1 itself only asks whether there is one ([`Confined`]): it stays small, and the launcher,
//! which reads the same file, refuses to start what it does not understand. Whoever builds an image
//! or asks `kubermesh check` hears of it before.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::spec::SpecError;

/// The program that confines a service and then becomes it, and its word for that.
pub const LAUNCHER: [&str; 2] = ["/usr/bin/kubermesh", "confine"];

/// A service file has a table `[privileges]`, whatever it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Confined(pub bool);

/// What a service may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Privileges {
    /// Linux capabilities without their `CAP_`, capabilities(7).
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// System calls by purpose, beside those that every program needs.
    #[serde(default)]
    pub system_calls: Vec<Purpose>,
    /// It sees and writes the whole node as PID 1 does: what it mounts is there for all.
    #[serde(default)]
    pub keeps_view: bool,
    /// What it sees beside the image, `/proc` and `/dev`: read-only.
    #[serde(default)]
    pub sees: Vec<String>,
    /// What it sees and may write. A folder that is missing is made.
    #[serde(default)]
    pub writes: Vec<String>,
    /// Folders of the image on which something is mounted later: seen and writable then.
    #[serde(default)]
    pub follows: Vec<String>,
    /// Devices that it may open, beside null, zero, full, random and urandom.
    #[serde(default)]
    pub devices: Vec<Device>,
}

/// A set of system calls, named for what it is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Make, change and remove files.
    Files,
    /// Hear of new files, inotify(7).
    Watching,
    /// Unix sockets.
    Unix,
    /// TCP, UDP and, with `NET_RAW`, raw sockets of IPv4 and IPv6.
    Internet,
    /// The kernel's own sockets: links, addresses, devices.
    Netlink,
    /// Set up a serial port or screen.
    Terminals,
    /// Feature reports of HID devices.
    Lights,
    /// Ask disks for their size, and tell the kernel of partitions.
    Disks,
    /// Mount and unmount, with `SYS_ADMIN`.
    Mounts,
    /// Start other programs, which may do the same; wait for them and kill them.
    Programs,
}

/// A device, by the name that its driver gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Device {
    /// The kernel's log.
    #[serde(rename = "kmsg")]
    KernelLog,
    /// The screen.
    #[serde(rename = "tty1")]
    Screen,
    /// UARTs.
    #[serde(rename = "ttyS*")]
    Uarts,
    /// USB serial adapters.
    #[serde(rename = "ttyUSB*")]
    SerialAdapters,
    /// USB modems and boards that speak like one.
    #[serde(rename = "ttyACM*")]
    Modems,
    /// HID devices: the lights, and each keyboard too.
    #[serde(rename = "hidraw*")]
    Hid,
    /// Disks and their partitions, whatever drives them.
    #[serde(rename = "disks")]
    Disks,
}

impl Privileges {
    /// Reads the table of a service file; none where it has none.
    ///
    /// # Errors
    /// An unknown key, a name that is none, a path outside its range: each with what is allowed.
    pub fn parse(file: &str, text: &str) -> Result<Option<Self>, SpecError> {
        let whole: Whole = toml::from_str(text)
            .map_err(|source| SpecError::Unreadable { file: file.to_owned(), source })?;
        let Some(privileges) = whole.privileges else { return Ok(None) };
        privileges.check(file)?;
        Ok(Some(privileges))
    }

    fn check(&self, file: &str) -> Result<(), SpecError> {
        let refuse = |key, given: &str, allowed| {
            let given = format!("\"{given}\"");
            Err(SpecError::Range { file: file.to_owned(), key, given, allowed })
        };
        let is_known = |name: &&String| CAPABILITIES.contains(&name.as_str());
        if let Some(name) = self.capabilities.iter().find(|name| !is_known(name)) {
            return refuse(
                "privileges.capabilities",
                name,
                "a name of capabilities(7) without CAP_",
            );
        }
        for (key, paths) in [
            ("privileges.sees", &self.sees),
            ("privileges.writes", &self.writes),
            ("privileges.follows", &self.follows),
        ] {
            if let Some(path) = paths.iter().find(|path| !is_plain(path)) {
                return refuse(
                    key,
                    path,
                    "an absolute path below / without . or .. or / at its end",
                );
            }
        }
        if let Some(path) = self.follows.iter().find(|path| path.matches('/').count() > 1) {
            return refuse("privileges.follows", path, "a folder directly below /");
        }
        let all = || self.sees.iter().chain(&self.writes).chain(&self.follows);
        if let Some(path) = all().next().filter(|_| self.keeps_view) {
            return refuse("privileges", path, "keeps_view or paths, not both");
        }
        if let Some(path) = all().find(|path| all().filter(|other| other == path).count() > 1) {
            return refuse("privileges", path, "each path once");
        }
        Ok(())
    }
}

/// The rest of a service file is `ServiceSpec`'s.
#[derive(Deserialize)]
struct Whole {
    privileges: Option<Privileges>,
}

fn is_plain(path: &str) -> bool {
    let is_name = |part: &str| !matches!(part, "" | "." | "..");
    path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_name))
}

impl<'de> Deserialize<'de> for Confined {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(source).map(|_| Self(true))
    }
}

impl Serialize for Confined {
    fn serialize<S: Serializer>(&self, target: S) -> Result<S::Ok, S::Error> {
        target.serialize_bool(self.0)
    }
}

impl Confined {
    /// Left out of what is written down: what is there means yes.
    pub(super) fn is_not(&self) -> bool {
        !self.0
    }
}

/// In the kernel's order: a name's place is the capability's number.
pub const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(table: &str) -> String {
        let text = format!("command = [\"/x\"]\n[privileges]\n{table}\n");
        let error = Privileges::parse("net.toml", &text).unwrap_err();
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        format!("{error}{}", cause.unwrap_or_default())
    }

    #[test]
    fn a_whole_table_is_understood() {
        let text = r#"
            command = ["/usr/bin/kubermesh", "net"]
            [ready]
            notify = true
            [privileges]
            capabilities = ["NET_ADMIN"]
            system_calls = ["files", "netlink"]
            sees = ["/sys"]
            writes = ["/run/bird", "/proc/sys/net/ipv6/conf"]
            follows = ["/state"]
            devices = ["kmsg", "hidraw*"]
        "#;
        let privileges = Privileges::parse("net.toml", text).unwrap().unwrap();
        assert_eq!(privileges.system_calls, [Purpose::Files, Purpose::Netlink]);
        assert_eq!(privileges.devices, [Device::KernelLog, Device::Hid]);
        assert_eq!(privileges.writes.len(), 2);
        assert_eq!(Privileges::parse("a.toml", "command = [\"/a\"]\n").unwrap(), None);
    }

    #[test]
    fn what_is_no_name_and_no_path_is_refused_with_what_is_allowed() {
        for (table, said) in [
            (
                "capabilities = [\"CAP_NET_ADMIN\"]",
                "net.toml: privileges.capabilities = \"CAP_NET_ADMIN\", allowed is a name of capabilities(7) without CAP_",
            ),
            (
                "writes = [\"/run/../etc\"]",
                "net.toml: privileges.writes = \"/run/../etc\", allowed is an absolute path below / without . or .. or / at its end",
            ),
            (
                "sees = [\"/\"]",
                "net.toml: privileges.sees = \"/\", allowed is an absolute path below / without . or .. or / at its end",
            ),
            (
                "follows = [\"/state/log\"]",
                "net.toml: privileges.follows = \"/state/log\", allowed is a folder directly below /",
            ),
            (
                "keeps_view = true\nsees = [\"/sys\"]",
                "net.toml: privileges = \"/sys\", allowed is keeps_view or paths, not both",
            ),
            (
                "sees = [\"/sys\"]\nwrites = [\"/sys\"]",
                "net.toml: privileges = \"/sys\", allowed is each path once",
            ),
        ] {
            assert_eq!(refusal(table), said);
        }
    }

    #[test]
    fn an_unknown_key_set_or_device_is_told_with_its_line_and_all_that_there_are() {
        for (table, words) in [
            ("capabilites = []", "`capabilites`, expected one of `capabilities`, `system_calls`"),
            ("system_calls = [\"file\"]", "`file`, expected one of `files`, `watching`, `unix`"),
            ("devices = [\"hidraw0\"]", "`hidraw0`, expected one of `kmsg`, `tty1`, `ttyS*`"),
        ] {
            let said = refusal(table);
            assert!(said.contains("line 3") && said.contains(words), "{said}");
        }
    }
}
