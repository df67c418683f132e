// SPDX-License-Identifier: Apache-2.0
//! BIRD's control socket: it greets, and it answers `show status`.
//!
//! Each line of a reply begins with four digits and `-`, or with a space for more of the same; the
//! last one has a space after its digits (BIRD's developer manual, "Client protocol").

use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, Lines,
};

use super::{CheckError, connect_unix, connection};

/// More than BIRD says about its status, and a bound for what is not BIRD.
const REPLY_LIMIT: u64 = 16 * 1024;

type Reply<Stream> = Lines<BufReader<tokio::io::Take<Stream>>>;

pub(super) async fn show_status(socket: &str) -> Result<String, CheckError> {
    converse(socket, connect_unix(socket).await?).await
}

/// The conversation over a stream that is connected to `socket`.
pub(crate) async fn converse(
    socket: &str,
    stream: impl AsyncRead + AsyncWrite + Unpin,
) -> Result<String, CheckError> {
    let mut reply = BufReader::with_capacity(512, stream.take(REPLY_LIMIT)).lines();
    expect(socket, &mut reply, "0001 ").await?;
    let asked = reply.get_mut().get_mut().get_mut().write_all(b"show status\n").await;
    asked.map_err(|cause| connection(socket, cause))?;
    let said = expect(socket, &mut reply, "0013 ").await?;
    Ok(format!("{socket}: {said}"))
}

/// Reads on to the last line of a reply and returns its words.
async fn expect(
    socket: &str,
    reply: &mut Reply<impl AsyncRead + Unpin>,
    expected: &'static str,
) -> Result<String, CheckError> {
    loop {
        let line = reply.next_line().await.map_err(|cause| connection(socket, cause))?;
        let line = line.ok_or_else(|| CheckError::Closed { target: socket.to_owned() })?;
        if let Some(words) = line.strip_prefix(expected) {
            return Ok(words.to_owned());
        }
        let goes_on = line.starts_with(' ') || line.get(4..5) == Some("-");
        if !goes_on {
            let target = socket.to_owned();
            return Err(CheckError::Said { target, said: line, expected: expected.trim_end() });
        }
    }
}
