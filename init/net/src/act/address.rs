// SPDX-License-Identifier: Apache-2.0
//! Addresses on links.

use std::net::Ipv6Addr;

use rtnetlink::Handle;
use rustix::io::Errno;

use super::errno;
use crate::think::link::LinkIndex;

/// Why a link did not get an address.
#[derive(Debug, thiserror::Error)]
#[error("add {address}/128 to {link}")]
pub(crate) struct AddressError {
    link: LinkIndex,
    address: Ipv6Addr,
    source: rtnetlink::Error,
}

/// Gives a link an address. One that is already there is what was asked for.
pub(crate) async fn add(
    handle: &Handle,
    link: LinkIndex,
    address: Ipv6Addr,
) -> Result<(), AddressError> {
    let request = handle.address().add(link.get(), address.into(), 128);
    match request.execute().await {
        Err(refusal) if errno(&refusal) == Some(Errno::EXIST) => Ok(()),
        answer => answer.map_err(|source| AddressError { link, address, source }),
    }
}
