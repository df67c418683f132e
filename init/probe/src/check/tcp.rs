// SPDX-License-Identifier: Apache-2.0
//! A TCP connection is taken: enough for a service that speaks what we do not.

use super::{CheckError, connect_tcp};

pub(super) async fn connect(address: &str) -> Result<String, CheckError> {
    connect_tcp(address, address, "an address in digits and a port, as in [::1]:2379").await?;
    Ok(format!("{address} takes connections"))
}
