// SPDX-License-Identifier: Apache-2.0
//! Ways in for the fuzz targets (`tests/fuzz`), which see no more of a crate than others do. Only
//! a build with `cfg(fuzzing)` has them.

use std::path::Path;

use crate::gpt::Guid;
use crate::identity::Machines;
use crate::{disk, mount};

/// The firmware's variable that names the boot partition.
#[must_use]
pub fn boot_variable(bytes: &[u8]) -> Option<Guid> {
    disk::name_in(bytes)
}

/// `identity.toml` as it is written again; none where it is refused.
#[must_use]
pub fn machines(text: &str) -> Option<String> {
    Machines::from_text(text, Path::new("identity.toml")).ok().map(|machines| machines.text())
}

/// A line of mountinfo: point, kind, source, options.
#[must_use]
pub fn mount(line: &str) -> Option<[String; 4]> {
    let found = mount::parse(line)?;
    Some([found.point, found.kind, found.source, found.options])
}
