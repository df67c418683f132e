// SPDX-License-Identifier: Apache-2.0
//! Parts that are pulled out and put in while the machine runs, and a stick that hangs.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::Machine;
use super::arguments::network_device;
use super::recipe::Boot;
use crate::stick::Stick;
use crate::wire::device;
use crate::write_log::WriteLog;

impl Machine {
    /// Takes a network card out and waits until the guest has let it go.
    pub fn unplug_nic(&self, number: usize, within: Duration) -> Result<()> {
        self.unplug(&device(number), within)
    }

    /// Puts the same card in again; its cable hangs on it as before.
    pub fn plug_nic(&self, number: usize) -> Result<()> {
        let Some(card) = network_device(&self.recipe, number) else {
            bail!("{} was made without a network card {number}", self.name());
        };
        self.qmp()?.execute("device_add", &card)?;
        self.port(number)?.show_carrier()
    }

    /// Pulls the stick out.
    pub fn unplug_stick(&self, within: Duration) -> Result<()> {
        self.unplug("stick", within)
    }

    /// Puts the stick in again.
    pub fn plug_stick(&self) -> Result<()> {
        let drive = match &self.recipe.boot {
            Some(Boot::Stick(_)) => "stick",
            Some(Boot::Uki(_)) => "uki",
            Some(Boot::Kernel { .. }) | None => bail!("{} was made without a stick", self.name()),
        };
        let stick = json!({ "driver": "usb-storage", "id": "stick", "bus": "xhci.0", "drive": drive, "removable": true });
        self.qmp()?.execute("device_add", &stick).map(drop)
    }

    /// Puts a USB keyboard in, which has a power key.
    pub fn plug_keyboard(&self) -> Result<()> {
        let keyboard = json!({ "driver": "usb-kbd", "id": "keyboard", "bus": "xhci.0" });
        self.qmp()?.execute("device_add", &keyboard).map(drop)
    }

    /// Pulls the keyboard out and waits until the guest has let it go.
    pub fn unplug_keyboard(&self, within: Duration) -> Result<()> {
        self.unplug("keyboard", within)
    }

    /// From now on every access to the stick hangs. It was made with [`Stick::may_hang`].
    pub fn freeze_stick(&self) -> Result<()> {
        self.with_stick_server(crate::Process::freeze)
    }

    /// The stick answers again, also what was asked meanwhile.
    pub fn thaw_stick(&self) -> Result<()> {
        self.with_stick_server(crate::Process::thaw)
    }

    /// The writes to the stick since the last power-on. It was made with [`Stick::log_writes`]; the machine is off.
    pub fn write_log(&self) -> Result<WriteLog> {
        if self.is_on() {
            bail!("{} is on: its log of writes is not complete", self.name());
        }
        self.stick()?.log(self.folder.path())
    }

    /// Writes the stick as it is now to a raw image. The machine is off.
    pub fn save_stick(&self, image: &Path) -> Result<()> {
        if self.is_on() {
            bail!("{} is on: its stick may change", self.name());
        }
        self.stick()?.save(self.folder.path(), image)
    }

    fn stick(&self) -> Result<&Stick> {
        match &self.recipe.boot {
            Some(Boot::Stick(stick)) => Ok(stick),
            Some(Boot::Uki(_) | Boot::Kernel { .. }) | None => {
                bail!("{} was made without a stick", self.name())
            }
        }
    }

    fn unplug(&self, part: &str, within: Duration) -> Result<()> {
        let qmp = self.qmp()?;
        let mark = qmp.mark();
        qmp.execute("device_del", &json!({ "id": part }))?;
        let gone = format!("{} to let go of {part}", self.name());
        qmp.wait_event(mark, &gone, within, |event| {
            event["event"] == "DEVICE_DELETED" && event["data"]["device"] == part
        })
        .map(drop)
    }

    fn with_stick_server(&self, deed: impl Fn(&crate::Process) -> Result<()>) -> Result<()> {
        let running = self.look();
        let running = running.as_ref().with_context(|| format!("{} is off", self.name()))?;
        deed(running.stick_server.as_ref().context("this stick was not made with may_hang")?)
    }
}
