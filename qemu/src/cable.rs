// SPDX-License-Identifier: Apache-2.0
//! A cable between two ports: pulled at both ends, or broken so that nobody notices.

use anyhow::Result;

use crate::folder::Folder;
use crate::pump::Pump;
use crate::wire::Port;

/// An Ethernet cable. Dropped, it is pulled.
#[must_use = "a cable that is dropped is pulled"]
pub struct Cable {
    ends: [Port; 2],
    /// To the first end and to the second.
    pumps: [Pump; 2],
    _folder: Folder,
}

impl Cable {
    /// Joins two ports; both see carrier.
    pub fn between(one: Port, other: Port) -> Result<Self> {
        let folder = Folder::new("c")?;
        let pumps = [
            Pump::start(folder.file("to0"), one.socket())?,
            Pump::start(folder.file("to1"), other.socket())?,
        ];
        let cable = Self { ends: [one, other], pumps, _folder: folder };
        cable.plug()?;
        Ok(cable)
    }

    /// Puts it back: frames pass, then both ends see carrier.
    pub fn plug(&self) -> Result<()> {
        let ([one, other], [to_one, to_other]) = (&self.ends, &self.pumps);
        one.send_to(Some(to_other.socket()))?;
        other.send_to(Some(to_one.socket()))?;
        one.set_carrier(true)?;
        other.set_carrier(true)
    }

    /// Pulls it: both ends lose carrier (QEMU's `set_link` shows it on one end only).
    pub fn pull(&self) -> Result<()> {
        let [one, other] = &self.ends;
        one.set_carrier(false)?;
        other.set_carrier(false)?;
        self.lose_frames()
    }

    /// Loses every frame while both ends still see carrier: what BFD is for.
    pub fn lose_frames(&self) -> Result<()> {
        self.ends.iter().try_for_each(|end| end.send_to(None))
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        // A machine that is gone already has no carrier to lose.
        let _ = self.pull();
    }
}
