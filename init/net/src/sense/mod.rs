// SPDX-License-Identifier: Apache-2.0
//! Translates what the kernel says of links and addresses into events.

pub(crate) mod clock;
pub(crate) mod device;
pub(crate) mod netlink;
