// SPDX-License-Identifier: Apache-2.0
//! Which terminals this machine has, and what the kernel itself prints on them.

use std::path::{Path, PathBuf};

/// Where the machine is looked at; a test has its own.
#[derive(Clone, Debug)]
pub(crate) struct Ground {
    pub(crate) dev: PathBuf,
    pub(crate) proc: PathBuf,
    /// PID 1's control socket.
    pub(crate) control: PathBuf,
    /// A folder for the places in the kernel's log.
    pub(crate) places: PathBuf,
}

impl Ground {
    pub(crate) fn node() -> Self {
        Self {
            dev: "/dev".into(),
            proc: "/proc".into(),
            control: kubermesh_node::control::SOCKET.into(),
            places: "/run/kubermesh/console".into(),
        }
    }

    /// Each UART that exists, each USB serial adapter, and the screen.
    pub(crate) fn terminals(&self) -> Vec<PathBuf> {
        // No driver, no file, no UARTs: a machine without a serial port is a good machine.
        let driver = std::fs::read_to_string(self.proc.join("tty/driver/serial"));
        let mut names = uarts(&driver.unwrap_or_default());
        let entries = std::fs::read_dir(&self.dev).into_iter().flatten().flatten();
        let mut plugged: Vec<String> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name.starts_with("ttyUSB") || name.starts_with("ttyACM"))
            .collect();
        plugged.sort();
        names.append(&mut plugged);
        names.push("tty1".to_owned());
        names.truncate(MOST);
        names.iter().map(|name| self.dev.join(name)).filter(|path| path.exists()).collect()
    }

    /// Records of a level below this are on that terminal by the kernel's own doing; 0: none are.
    pub(crate) fn printed_below(&self, terminal: &Path) -> u8 {
        let name = terminal.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // tty0 stands for the screen that is shown.
        let name = if name == "tty1" { "tty0" } else { name };
        let consoles = std::fs::read_to_string(self.proc.join("consoles")).unwrap_or_default();
        if !is_kernel_console(&consoles, name) {
            return 0;
        }
        let levels = std::fs::read_to_string(self.proc.join("sys/kernel/printk"));
        let levels = levels.unwrap_or_default();
        levels.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0)
    }
}

/// Lines like `0: uart:16550A port:000003F8 irq:4 tx:0 rx:0`; where there is none: `uart:unknown`.
fn uarts(driver: &str) -> Vec<String> {
    let name = |line: &str| {
        let (number, rest) = line.split_once(": uart:")?;
        let number: u32 = number.trim().parse().ok()?;
        (!rest.starts_with("unknown")).then(|| format!("ttyS{number}"))
    };
    driver.lines().filter_map(name).collect()
}

/// Lines like `ttyS0                -W- (EC  a)    4:64`; E: enabled.
fn is_kernel_console(consoles: &str, name: &str) -> bool {
    consoles.lines().any(|line| {
        let flags = line.split_once('(').and_then(|(_, rest)| rest.split(')').next());
        line.split_whitespace().next() == Some(name)
            && flags.is_some_and(|flags| flags.contains('E'))
    })
}

/// Each costs a descriptor or two; who plugs in more than these has other plans.
const MOST: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_uarts_that_exist_are_used() {
        let driver = "serinfo:1.0 driver revision:\n\
            0: uart:16550A port:000003F8 irq:4 tx:1030 rx:0 RTS|DTR\n\
            1: uart:unknown port:000002F8 irq:3\n\
            4: uart:XR17V35X mmio:0x91A00000 irq:17 tx:0 rx:0\n";
        assert_eq!(uarts(driver), ["ttyS0", "ttyS4"]);
        assert!(uarts("").is_empty());
    }

    #[test]
    fn what_the_kernel_prints_by_itself_is_known_for_each_terminal() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("sys/kernel")).unwrap();
        let consoles = "tty0                 -WU (E   p)    4:1\nttyS0                -W- (EC  a)    4:64\nttyS1                -W- ( C  a)    4:65\n";
        std::fs::write(folder.path().join("consoles"), consoles).unwrap();
        std::fs::write(folder.path().join("sys/kernel/printk"), "4\t4\t1\t7\n").unwrap();
        let ground = Ground { proc: folder.path().to_owned(), ..Ground::node() };
        for (terminal, below) in [("tty1", 4), ("ttyS0", 4), ("ttyS1", 0), ("ttyUSB0", 0)] {
            assert_eq!(
                ground.printed_below(&Path::new("/dev").join(terminal)),
                below,
                "{terminal}"
            );
        }
    }
}
