// SPDX-License-Identifier: Apache-2.0
//! From the kernel's first call to a house in which services can live.
//!
//! [`root`]: in the initramfs, out of it into the real root. [`clock`]: not before the image.
//! [`house`]: file systems, links, settings, cgroups, files of /etc. All lists are data.

pub(crate) mod clock;
pub(crate) mod house;
pub(crate) mod mounts;
pub(crate) mod root;
mod settings;
