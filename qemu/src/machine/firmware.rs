// SPDX-License-Identifier: Apache-2.0
//! OVMF, the firmware: its code as Debian ships it and a private copy of its variables.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The two flash chips of a machine.
pub(super) struct Firmware {
    pub(super) code: PathBuf,
    pub(super) variables: PathBuf,
}

impl Firmware {
    /// Copies fresh variables into a machine's folder; those of an earlier start stay.
    pub(super) fn install(folder: &Path) -> Result<Self> {
        let Some((code, fresh)) = PAIRS.iter().find(|(code, _)| Path::new(code).exists()) else {
            bail!("there is no UEFI firmware in /usr/share/OVMF: apt-get install ovmf");
        };
        let variables = folder.join("variables.fd");
        if !variables.exists() {
            fs::copy(fresh, &variables).with_context(|| format!("copy {fresh}"))?;
        }
        Ok(Self { code: PathBuf::from(code), variables })
    }
}

/// Debian 12 has both sizes, Debian 13 the first only.
const PAIRS: [(&str, &str); 2] = [
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
];
