// SPDX-License-Identifier: Apache-2.0
//! Links: up, MTU, further names.

use futures_util::TryStreamExt;
use rtnetlink::{Handle, LinkUnspec};
use rustix::io::Errno;

use super::errno;
use crate::think::link::LinkIndex;

/// Why a link is not as it was asked to be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error("bring {link} up")]
    Raise { link: LinkIndex, source: rtnetlink::Error },
    #[error("give {link} an MTU of {mtu} bytes")]
    Resize { link: LinkIndex, mtu: u32, source: rtnetlink::Error },
    #[error("name {link} {altname} too")]
    Name { link: LinkIndex, altname: String, source: rtnetlink::Error },
}

/// Brings a link up.
pub(crate) async fn raise(handle: &Handle, link: LinkIndex) -> Result<(), LinkError> {
    let wish = LinkUnspec::new_with_index(link.get()).up().build();
    let answer = handle.link().set(wish).execute().await;
    answer.map_err(|source| LinkError::Raise { link, source })
}

/// Gives a link its MTU.
pub(crate) async fn resize(handle: &Handle, link: LinkIndex, mtu: u32) -> Result<(), LinkError> {
    let wish = LinkUnspec::new_with_index(link.get()).mtu(mtu).build();
    let answer = handle.link().set(wish).execute().await;
    answer.map_err(|source| LinkError::Resize { link, mtu, source })
}

/// Gives a link one more name. The kernel answers EEXIST also where another link has it: then
/// the first one keeps it, and a cable is still found by its port's own name.
pub(crate) async fn name(handle: &Handle, link: LinkIndex, altname: &str) -> Result<(), LinkError> {
    let request = handle.link().property_add(link.get()).alt_ifname(&[altname]);
    match request.execute().await {
        Err(refusal) if errno(&refusal) == Some(Errno::EXIST) => Ok(()),
        answer => {
            answer.map_err(|source| LinkError::Name { link, altname: altname.to_owned(), source })
        }
    }
}

/// The kernel says that there is no such link (any more).
pub(crate) async fn is_gone(handle: &Handle, link: LinkIndex) -> bool {
    let mut found = handle.link().get().match_index(link.get()).execute();
    match found.try_next().await {
        Ok(first) => first.is_none(),
        Err(refusal) => errno(&refusal) == Some(Errno::NODEV),
    }
}
