// SPDX-License-Identifier: Apache-2.0
//! Does to links, addresses and files what it is told.
//!
//! Idempotent: what is already there is what was asked for.

pub(crate) mod address;
pub(crate) mod file;
pub(crate) mod link;

use rtnetlink::Error;
use rustix::io::Errno;

/// The kernel's error number, where it is the kernel that refused.
fn errno(refusal: &Error) -> Option<Errno> {
    let Error::NetlinkError(message) = refusal else { return None };
    message.to_io().raw_os_error().map(Errno::from_raw_os_error)
}
