// SPDX-License-Identifier: Apache-2.0
//! Power and its buttons: on, off, cut, reset, pause.

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::json;

use super::arguments::arguments;
use super::recipe::{Boot, SerialPort};
use super::{Machine, Running};
use crate::process::{Process, run};
use crate::qmp::Qmp;

impl Machine {
    /// Switches it on. Disks and firmware variables are as they were left.
    pub fn power_on(&self) -> Result<()> {
        ensure!(!self.is_on(), "{} is on already", self.name());
        self.power_cut()?;
        let mut running = self.look();
        let folder = self.folder.path();
        let blockage = self.block_serial(folder)?;
        let stick_server = match &self.recipe.boot {
            Some(Boot::Stick(stick)) => {
                stick.begin_log(folder)?;
                stick.serve(folder)?
            }
            Some(Boot::Uki(_) | Boot::Kernel { .. }) | None => None,
        };
        let line = arguments(&self.recipe, folder, &self.ports)?;
        let monitor = listen(&folder.join("qmp"))?;
        let qemu = Arc::new(Process::spawn(self.name(), &line, &folder.join("qemu.log"))?);
        let qmp = Arc::new(accept(&qemu, &monitor)?);
        *running = Some(Running { qemu, stick_server, _blockage: blockage });
        *self.monitor.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&qmp));
        self.attach(folder)?;
        qmp.execute("cont", &json!({}))?;
        drop(running);
        self.watch_end();
        Ok(())
    }

    /// Cuts the power: the guest gets no chance to say anything.
    pub fn power_cut(&self) -> Result<()> {
        let running = self.look().take();
        *self.monitor.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.agent.detach();
        match running {
            Some(running) => running.qemu.kill(),
            None => Ok(()),
        }
    }

    /// Waits until the guest has switched itself off; it may then be switched on again.
    pub fn wait_off(&self, within: Duration) -> Result<()> {
        let qemu = self.look().as_ref().map(|running| Arc::clone(&running.qemu));
        if let Some(qemu) = qemu {
            let asked = || {
                format!(
                    "{} shall switch itself off. It said last:\n{}",
                    self.name(),
                    self.serial.tail()
                )
            };
            qemu.wait(within).with_context(asked)?;
        }
        self.power_cut()
    }

    /// Whether it has power and has not switched itself off.
    pub fn is_on(&self) -> bool {
        self.look().as_ref().is_some_and(|running| running.qemu.ended().is_none())
    }

    /// Presses the power button.
    pub fn power_button(&self) -> Result<()> {
        self.qmp()?.execute("system_powerdown", &json!({})).map(drop)
    }

    /// Presses Ctrl-Alt-Del on the keyboard.
    pub fn ctrl_alt_del(&self) -> Result<()> {
        self.press(&["ctrl", "alt", "delete"])
    }

    /// Presses keys together, by QEMU's names (`qcode`).
    pub fn press(&self, keys: &[&str]) -> Result<()> {
        let keys: Vec<_> = keys.iter().map(|key| json!({ "type": "qcode", "data": key })).collect();
        self.qmp()?.execute("send-key", &json!({ "keys": keys })).map(drop)
    }

    /// Presses the reset button.
    pub fn reset(&self) -> Result<()> {
        self.qmp()?.execute("system_reset", &json!({})).map(drop)
    }

    /// A mark for [`Machine::wait_reset`]: a reset before it does not count.
    pub fn mark(&self) -> Result<usize> {
        Ok(self.qmp()?.mark())
    }

    /// Waits for a reset after `mark`, by the guest or its watchdog.
    pub fn wait_reset(&self, mark: usize, within: Duration) -> Result<()> {
        let words = format!("a reset of {}", self.name());
        self.qmp()?.wait_event(mark, &words, within, |event| event["event"] == "RESET").map(drop)
    }

    /// The process id of its QEMU, for measurements.
    pub fn qemu_pid(&self) -> Result<i32> {
        let running = self.look();
        Ok(running.as_ref().with_context(|| format!("{} is off", self.name()))?.qemu.pid())
    }

    fn attach(&self, folder: &Path) -> Result<()> {
        match self.recipe.serial {
            SerialPort::Read => self.serial.attach(&folder.join("serial"), None)?,
            SerialPort::Slow => self.serial.attach(&folder.join("serial"), Some(BAUD_9600))?,
            SerialPort::Blocked | SerialPort::Absent => {}
        }
        if self.recipe.agent {
            self.agent.attach(&folder.join("agent"))?;
        }
        self.ports.iter().try_for_each(crate::wire::Port::show_carrier)
    }

    /// A full pipe: QEMU's UART keeps the first byte for ever, as one whose other end holds CTS.
    fn block_serial(&self, folder: &Path) -> Result<Option<fs::File>> {
        if self.recipe.serial != SerialPort::Blocked {
            return Ok(None);
        }
        for end in ["blocked.in", "blocked.out"] {
            let path = folder.join(end);
            if !path.exists() {
                run(&["mkfifo".into(), path.into_os_string()])?;
            }
        }
        let pipe =
            fs::OpenOptions::new().read(true).write(true).open(folder.join("blocked.out"))?;
        let room = rustix::pipe::fcntl_getpipe_size(&pipe).context("size of a pipe")?;
        let full = rustix::io::ioctl_fionread(&pipe).context("fill of a pipe")?;
        let free = room.saturating_sub(usize::try_from(full).unwrap_or(room));
        (&pipe).write_all(&vec![b'.'; free]).context("fill a pipe")?;
        Ok(Some(pipe))
    }

    /// Ends the waits on the serial port when QEMU ends.
    fn watch_end(&self) {
        let running = self.look();
        let Some(running) = running.as_ref() else { return };
        let serial = self.serial.clone();
        running.qemu.when_ended(move |how, words| serial.declare_dead(&format!("{how} {words}")));
    }
}

fn listen(socket: &Path) -> Result<UnixListener> {
    let _ = fs::remove_file(socket);
    UnixListener::bind(socket).with_context(|| format!("listen on {}", socket.display()))
}

/// QEMU connects to its monitor and makes its devices, or it ends and says why.
fn accept(qemu: &Process, monitor: &UnixListener) -> Result<Qmp> {
    let mut waited = [
        PollFd::new(monitor, PollFlags::IN),
        PollFd::from_borrowed_fd(qemu.pidfd(), PollFlags::IN),
    ];
    let limit = Timespec::try_from(STARTS_WITHIN).context("a limit for poll")?;
    poll(&mut waited, Some(&limit)).context("wait for QEMU")?;
    ensure!(!waited[0].revents().is_empty(), "QEMU does not start: {}", qemu.last_words());
    let (stream, _) = monitor.accept().context("accept QEMU's monitor")?;
    Qmp::new(stream).map_err(|error| match qemu.wait(ENDS_WITHIN) {
        Ok(how) => anyhow!("QEMU does not start ({how}): {}", qemu.last_words()),
        Err(_) => error,
    })
}

/// Bytes a second: ten bits a byte, with its start and its stop.
const BAUD_9600: usize = 960;

/// QEMU allocates the guest's memory and opens its files.
const STARTS_WITHIN: Duration = Duration::from_secs(30);

/// One that closed its monitor is on its way out.
const ENDS_WITHIN: Duration = Duration::from_secs(2);
