// SPDX-License-Identifier: Apache-2.0
//! One try of one check: connects, asks, and says in words what it heard.
//!
//! Each try makes a connection of its own: that the service still takes one is part of the answer,
//! and a try that is given up leaves nothing behind. How long it may take is the caller's matter.

pub(crate) mod bird;
pub(crate) mod http;
mod ping;
mod runtime;
mod tcp;

use std::error::Error;
use std::io;
use std::net::SocketAddr;

use kubermesh_node::brief::brief;
use kubermesh_node::service::Check;
use tokio::net::{TcpStream, UnixStream};

use crate::cri::CriError;

/// Asks once. Good or bad, the answer is a sentence.
pub(crate) async fn ask(check: &Check) -> Result<String, String> {
    let answer = match check {
        Check::Http(url) => http::get(url).await,
        Check::Tcp(address) => tcp::connect(address).await,
        Check::Cri(socket) => runtime::status(socket).await,
        Check::Bird(socket) => bird::show_status(socket).await,
        Check::Ping(socket) => ping::ping(socket).await,
    };
    told(answer)
}

/// As what a person reads: strangers say more than that.
pub(crate) fn told(answer: Result<String, CheckError>) -> Result<String, String> {
    answer.map(|said| brief(&said)).map_err(|refusal| sentence(&refusal))
}

/// Whom a check asks, as its file names it.
pub(crate) fn target(check: &Check) -> &str {
    match check {
        Check::Http(target)
        | Check::Tcp(target)
        | Check::Cri(target)
        | Check::Bird(target)
        | Check::Ping(target) => target,
    }
}

/// Why a try failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckError {
    #[error("{target} cannot be asked: allowed is {allowed}")]
    Target { target: String, allowed: &'static str },
    #[error("{target}: {}", words(.cause))]
    Connection { target: String, cause: io::Error },
    #[error("{target} closed the connection without an answer")]
    Closed { target: String },
    #[error("{target} did not speak HTTP")]
    Http { target: String, source: hyper::Error },
    #[error("{target} answered {status}")]
    Status { target: String, status: u16 },
    #[error("{target} said \"{said}\", expected was \"{expected}\"")]
    Said { target: String, said: String, expected: &'static str },
    #[error("{socket}: the runtime is not ready: {reason}")]
    Runtime { socket: String, reason: String },
    #[error(transparent)]
    Cri(#[from] CriError),
}

/// The kernel's refusal of a connection in words, without its number.
pub(crate) fn words(refusal: &io::Error) -> String {
    let kind = refusal.kind();
    if kind == io::ErrorKind::ConnectionRefused {
        "nobody listens there".to_owned()
    } else if kind == io::ErrorKind::NotFound {
        "not there".to_owned()
    } else if kind == io::ErrorKind::WouldBlock {
        // connect(2) on a Unix socket: the listener's queue is full, because it takes nobody out.
        "listens, but takes no connection".to_owned()
    } else {
        refusal.to_string()
    }
}

/// An error and its causes on one line, not longer than one: some quote what a stranger said.
pub(crate) fn sentence(refusal: &dyn Error) -> String {
    let mut said = refusal.to_string();
    let mut next = refusal.source();
    while let Some(cause) = next {
        said = format!("{said}: {cause}");
        next = cause.source();
    }
    brief(&said)
}

/// Connects to an address in digits: a name would be looked up in another thread, for who knows how long.
async fn connect_tcp(
    target: &str,
    address: &str,
    allowed: &'static str,
) -> Result<TcpStream, CheckError> {
    let address: SocketAddr =
        address.parse().map_err(|_| CheckError::Target { target: target.to_owned(), allowed })?;
    TcpStream::connect(address).await.map_err(|cause| connection(target, cause))
}

async fn connect_unix(path: &str) -> Result<UnixStream, CheckError> {
    UnixStream::connect(path).await.map_err(|cause| connection(path, cause))
}

/// What a broken connection says about its other end.
fn connection(target: &str, cause: io::Error) -> CheckError {
    let target = target.to_owned();
    let closed =
        [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe];
    if closed.contains(&cause.kind()) {
        CheckError::Closed { target }
    } else {
        CheckError::Connection { target, cause }
    }
}

#[cfg(test)]
mod descriptors;
#[cfg(test)]
mod tests;
