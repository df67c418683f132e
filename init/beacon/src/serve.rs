// SPDX-License-Identifier: Apache-2.0
//! The two ports: a listener and a bounded number of threads for each.
//!
//! A connection above the bound is closed at once, so neither port can starve the other, and
//! long echoes never cost the pod its readiness.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv6Addr, SocketAddrV6, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with};

use crate::answer::answer;
use crate::identity::Identity;

const HTTP_PORT: u16 = 8080;
const ECHO_PORT: u16 = 7;

/// Connections at once on each port: more than kubelet, a probe and every neighbour ask for.
const CONNECTIONS: usize = 32;

/// A thread holds one small buffer; musl's default stack of 128 KiB would be fine, glibc's 2 MiB not.
const STACK_BYTES: usize = 64 * 1024;

/// Who has not said what he wants by then is cut off.
const REQUEST_DEADLINE: Duration = Duration::from_secs(5);

/// A request line is short; headers of a browser are a kilobyte or two.
const REQUEST_BYTES: usize = 8 * 1024;

/// Why a port could not be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error("listen on [::]:{port}")]
    Listen { port: u16, source: io::Error },
    #[error("start a thread for [::]:{port}")]
    Thread { port: u16, source: io::Error },
}

/// Answers HTTP from now on.
pub(crate) fn http(identity: &Identity) -> Result<(), ServeError> {
    let identity = identity.clone();
    serve(HTTP_PORT, move |stream| answer_http(stream, &identity))
}

/// Sends back what comes in, from now on.
pub(crate) fn echo() -> Result<(), ServeError> {
    serve(ECHO_PORT, echo_stream)
}

fn serve<F>(port: u16, each: F) -> Result<(), ServeError>
where
    F: Fn(&TcpStream) -> io::Result<()> + Send + Sync + 'static,
{
    let listener = listen_on(port).map_err(|source| ServeError::Listen { port, source })?;
    thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(move || accept(&listener, Arc::new(each)))
        .map_err(|source| ServeError::Thread { port, source })?;
    Ok(())
}

/// std would leave the second family to `net.ipv6.bindv6only`; here both are asked for.
fn listen_on(port: u16) -> io::Result<TcpListener> {
    let socket = socket_with(AddressFamily::INET6, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_ipv6_v6only(&socket, false)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0))?;
    listen(&socket, 64)?;
    Ok(TcpListener::from(socket))
}

/// Each open connection holds a clone of `each`: the count of clones is the count of connections.
fn accept<F>(listener: &TcpListener, each: Arc<F>)
where
    F: Fn(&TcpStream) -> io::Result<()> + Send + Sync + 'static,
{
    for stream in listener.incoming() {
        // A peer that left while it waited in the queue is its own affair: accept(2).
        let Ok(stream) = stream else { continue };
        if Arc::strong_count(&each) > CONNECTIONS {
            continue;
        }
        let each = Arc::clone(&each);
        // No thread to be had: the connection is closed, and the next one may find one.
        let _ = thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
            // A broken connection ends itself; there is nobody else to tell.
            let _ = each(&stream);
        });
    }
}

fn answer_http(mut stream: &TcpStream, identity: &Identity) -> io::Result<()> {
    let request = read_request(stream, Instant::now())?;
    let from = stream.peer_addr()?.ip();
    let line = request.lines().next().unwrap_or_default();
    stream.set_write_timeout(Some(REQUEST_DEADLINE))?;
    stream.write_all(answer(line, identity, from).as_bytes())
}

/// Reads to the empty line, so that closing does not reset a connection with unread bytes.
fn read_request(mut stream: &TcpStream, began: Instant) -> io::Result<String> {
    let mut request = Vec::new();
    let mut part = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < REQUEST_BYTES {
        let left = REQUEST_DEADLINE.saturating_sub(began.elapsed());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let count = stream.read(&mut part)?;
        if count == 0 {
            break;
        }
        request.extend(part.iter().take(count));
    }
    Ok(String::from_utf8_lossy(&request).into_owned())
}

/// No deadline on purpose: the stream is there to be kept. A peer that lost its power is found
/// by keep-alive within a minute, so it does not hold its place for ever.
fn echo_stream(mut stream: &TcpStream) -> io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(30))?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(10))?;
    sockopt::set_tcp_keepcnt(stream, 3)?;
    stream.set_nodelay(true)?;
    let mut back = stream;
    io::copy(&mut stream, &mut back).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Shutdown;

    fn identity() -> Identity {
        Identity { node: "n1".to_owned(), pod: "beacon-n1".to_owned(), addresses: Vec::new() }
    }

    /// Port 0: the kernel picks a free one, so tests never meet.
    fn served<F>(each: F) -> u16
    where
        F: Fn(&TcpStream) -> io::Result<()> + Send + Sync + 'static,
    {
        let listener = listen_on(0).unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || accept(&listener, Arc::new(each)));
        port
    }

    fn all_of(mut stream: TcpStream) -> String {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn both_families_reach_the_same_port() {
        let who = identity();
        let port = served(move |stream| answer_http(stream, &who));
        for (address, from) in
            [("::1", "\"from\":\"::1\""), ("127.0.0.1", "\"from\":\"127.0.0.1\"")]
        {
            let mut stream = TcpStream::connect((address, port)).unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            let answer = all_of(stream);
            assert!(answer.contains(from), "{answer}");
        }
    }

    #[test]
    fn an_echo_gives_back_what_it_got_and_ends_with_its_peer() {
        let port = served(echo_stream);
        let mut stream = TcpStream::connect(("::1", port)).unwrap();
        stream.write_all(b"still here").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(all_of(stream), "still here");
    }

    #[test]
    fn one_connection_too_many_is_closed_and_the_others_stay() {
        let port = served(echo_stream);
        let mut open: Vec<TcpStream> =
            (0..32).map(|_| TcpStream::connect(("::1", port)).unwrap()).collect();
        // An echo of each one shows that it was accepted before the next one comes.
        for stream in &mut open {
            stream.write_all(b"x").unwrap();
            stream.read_exact(&mut [0]).unwrap();
        }
        let refused = TcpStream::connect(("::1", port)).unwrap();
        refused.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        assert_eq!(all_of(refused), "");
        for stream in &mut open {
            stream.write_all(b"y").unwrap();
            stream.read_exact(&mut [0]).unwrap();
        }
    }
}
