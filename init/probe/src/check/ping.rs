// SPDX-License-Identifier: Apache-2.0
//! A worker of ours says `ok` and a newline as soon as its loop turns.

use tokio::io::AsyncReadExt;

use super::{CheckError, connect_unix, connection};

pub(super) async fn ping(socket: &str) -> Result<String, CheckError> {
    let mut stream = connect_unix(socket).await?;
    let mut said = [0; 3];
    stream.read_exact(&mut said).await.map_err(|cause| connection(socket, cause))?;
    if &said == b"ok\n" {
        return Ok(format!("{socket} answered"));
    }
    let said = String::from_utf8_lossy(&said).trim_end().to_owned();
    Err(CheckError::Said { target: socket.to_owned(), said, expected: "ok" })
}
