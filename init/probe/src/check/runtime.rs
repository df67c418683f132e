// SPDX-License-Identifier: Apache-2.0
//! The CRI's own word: `RuntimeReady`. A network that is not ready yet is no fault of the runtime's.

use super::CheckError;
use crate::cri::Runtime;

pub(super) async fn status(socket: &str) -> Result<String, CheckError> {
    let conditions = Runtime::connect(socket).await?.status().await?;
    let ready = conditions.into_iter().find(|condition| condition.kind == "RuntimeReady");
    match ready {
        Some(condition) if condition.status => Ok(format!("{socket}: the runtime is ready")),
        Some(condition) => {
            let reason = format!("{} {}", condition.reason, condition.message).trim().to_owned();
            Err(CheckError::Runtime { socket: socket.to_owned(), reason })
        }
        None => {
            let reason = "it has no condition RuntimeReady".to_owned();
            Err(CheckError::Runtime { socket: socket.to_owned(), reason })
        }
    }
}
