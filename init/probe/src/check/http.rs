// SPDX-License-Identifier: Apache-2.0
//! GET over HTTP/1.1; 200 to 299 is a good answer. Its body is not waited for.

use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{CheckError, connect_tcp};

const ALLOWED: &str = "an address in digits, as in http://[::1]:10248/healthz";

pub(super) async fn get(url: &str) -> Result<String, CheckError> {
    let refused = || CheckError::Target { target: url.to_owned(), allowed: ALLOWED };
    let uri: Uri = url.parse().map_err(|_| refused())?;
    let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http"));
    let host = authority.ok_or_else(refused)?.as_str();
    let address = if uri.port().is_some() { host.to_owned() } else { format!("{host}:80") };
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(HOST, host)
        .header(USER_AGENT, "kubermesh-probe")
        .header(CONNECTION, "close")
        .body(String::new())
        .map_err(|_| refused())?;
    let stream = connect_tcp(url, &address, ALLOWED).await?;
    match status(stream, request).await {
        Ok(status @ 200..=299) => Ok(format!("{url} answered {status}")),
        Ok(status) => Err(CheckError::Status { target: url.to_owned(), status }),
        Err(refusal) if refusal.is_parse() => {
            Err(CheckError::Http { target: url.to_owned(), source: refusal })
        }
        Err(_) => Err(CheckError::Closed { target: url.to_owned() }),
    }
}

/// Moves the bytes and waits for the answer in one task, so that giving up ends both.
pub(crate) async fn status(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<String>,
) -> Result<u16, hyper::Error> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answer = sender.send_request(request);
    tokio::pin!(answer, connection);
    tokio::select! {
        biased;
        answer = &mut answer => answer.map(|response| response.status().as_u16()),
        // The connection may end in the same turn in which it handed the answer over.
        ended = &mut connection => match ended {
            Err(refusal) => Err(refusal),
            Ok(()) => answer.await.map(|response| response.status().as_u16()),
        },
    }
}
