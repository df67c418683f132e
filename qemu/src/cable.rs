// SPDX-License-Identifier: Apache-2.0
//! A cable between two ports: pulled at both ends, or broken so that nobody notices.

use anyhow::Result;

use crate::wire::Port;

/// An Ethernet cable. Dropping it leaves it as it is; the machines own their ports.
pub struct Cable {
    ends: [Port; 2],
}

impl Cable {
    /// Joins two ports; both see carrier.
    pub fn between(one: Port, other: Port) -> Result<Self> {
        let cable = Self { ends: [one, other] };
        cable.plug()?;
        Ok(cable)
    }

    /// Puts it back: frames pass, then both ends see carrier.
    pub fn plug(&self) -> Result<()> {
        let [one, other] = &self.ends;
        one.send_to(Some(other.socket()))?;
        other.send_to(Some(one.socket()))?;
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

    /// Loses what the first end sends; it still hears the other.
    pub fn mute_first(&self) -> Result<()> {
        self.ends[0].send_to(None)
    }
}
