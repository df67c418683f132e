// SPDX-License-Identifier: Apache-2.0
//! Real sockets: servers that answer, refuse, hang, close and speak something else.

use std::os::unix::net::UnixListener as Plain;

use kubermesh_node::service::Check;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};

use super::ask;

/// A server for one connection: reads what is asked (up to `question`'s length), says `answer`, closes.
async fn say(
    stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin),
    answer: &str,
    question: &str,
) {
    let mut heard = vec![0; question.len()];
    stream.read_exact(&mut heard).await.unwrap();
    assert_eq!(String::from_utf8(heard).unwrap(), question);
    stream.write_all(answer.as_bytes()).await.unwrap();
}

/// Asks a TCP server that answers so; the port in the sentence is written as PORT.
async fn http(answer: &str) -> Result<String, String> {
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let question = "GET /healthz?v=1 HTTP/1.1\r\n";
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        say(&mut stream, answer, question).await;
        // Whatever else it asked is read, or closing would reset the connection and the answer with it.
        let mut rest = [0; 1024];
        let _ = stream.read(&mut rest).await.unwrap();
    };
    let check = Check::Http(format!("http://[::1]:{port}/healthz?v=1"));
    let (answer, ()) = tokio::join!(ask(&check), server);
    let hide = |said: String| said.replace(&port.to_string(), "PORT");
    answer.map(hide).map_err(hide)
}

#[tokio::test]
async fn http_is_healthy_from_200_to_299() {
    let url = "http://[::1]:PORT/healthz?v=1";
    for (status, word) in [("200 OK", "200"), ("204 No Content", "204"), ("299 Odd", "299")] {
        let answer = http(&format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n")).await;
        assert_eq!(answer, Ok(format!("{url} answered {word}")));
    }
    for (status, word) in [("300 Many", "300"), ("404 Not Found", "404"), ("500 Error", "500")] {
        let answer = http(&format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nno")).await;
        assert_eq!(answer, Err(format!("{url} answered {word}")));
    }
}

#[tokio::test]
async fn http_that_is_none_or_ends_early_is_told() {
    let url = "http://[::1]:PORT/healthz?v=1";
    assert_eq!(http("").await, Err(format!("{url} closed the connection without an answer")));
    let strange = http("SSH-2.0-OpenSSH_9.2\r\n\r\n").await.unwrap_err();
    assert!(strange.starts_with(&format!("{url} did not speak HTTP: ")), "{strange}");
}

#[tokio::test]
async fn what_cannot_be_asked_is_told_with_what_is_allowed() {
    let allowed =
        "cannot be asked: allowed is an address in digits, as in http://[::1]:10248/healthz";
    for url in ["http://localhost:1/", "https://[::1]:1/", "/healthz", "http://"] {
        assert_eq!(ask(&Check::Http(url.into())).await, Err(format!("{url} {allowed}")));
    }
    let words =
        "here:22 cannot be asked: allowed is an address in digits and a port, as in [::1]:2379";
    assert_eq!(ask(&Check::Tcp("here:22".into())).await, Err(words.into()));
}

#[tokio::test]
async fn tcp_is_healthy_while_somebody_listens() {
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let check = Check::Tcp(address.clone());
    assert_eq!(ask(&check).await, Ok(format!("{address} takes connections")));
    drop(listener);
    assert_eq!(ask(&check).await, Err(format!("{address}: nobody listens there")));
}

/// Asks a server on a Unix socket that greets, is asked `question`, and answers so.
async fn unix(
    kind: fn(String) -> Check,
    greeting: &str,
    question: &str,
    answer: &str,
) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(greeting.as_bytes()).await.unwrap();
        say(&mut stream, answer, question).await;
    };
    let path = path.to_str().unwrap();
    let check = kind(path.to_owned());
    let (answer, ()) = tokio::join!(ask(&check), server);
    let hide = |said: String| said.replace(path, "SOCKET");
    answer.map(hide).map_err(hide)
}

#[tokio::test]
async fn a_worker_answers_ok() {
    assert_eq!(unix(Check::Ping, "", "", "ok\n").await, Ok("SOCKET answered".into()));
    let words = "SOCKET said \"no\", expected was \"ok\"";
    assert_eq!(unix(Check::Ping, "", "", "no\n").await, Err(words.into()));
    let words = "SOCKET closed the connection without an answer";
    assert_eq!(unix(Check::Ping, "", "", "o").await, Err(words.into()));
}

#[tokio::test]
async fn bird_is_asked_for_its_status() {
    let greeting = "0001 BIRD 2.17.1 ready.\n";
    // As the manual and `birdc -v show status` have it.
    let status = "1000-BIRD 2.17.1\n1011-Router ID is 10.0.0.1\n Hostname is n1\n \
        Current server time is 2026-11-24 04:17:11.000\n Last reboot on 2026-11-24 04:00:00.000\n \
        Last reconfiguration on 2026-11-24 04:00:00.000\n0013 Daemon is up and running\n";
    let said = unix(Check::Bird, greeting, "show status\n", status).await;
    assert_eq!(said, Ok("SOCKET: Daemon is up and running".into()));
    let said = unix(Check::Bird, greeting, "show status\n", "8002 Access denied\n").await;
    assert_eq!(said, Err("SOCKET said \"8002 Access denied\", expected was \"0013\"".into()));
    let said = unix(Check::Bird, "ok\n", "", "").await;
    assert_eq!(said, Err("SOCKET said \"ok\", expected was \"0001\"".into()));
    let said = unix(Check::Bird, greeting, "show status\n", "1000-BIRD 2.17.1\n").await;
    assert_eq!(said, Err("SOCKET closed the connection without an answer".into()));
    // A control character is six bytes in the report.
    let long = format!("0013 {}\n", "\u{1}".repeat(12_000));
    let said = unix(Check::Bird, greeting, "show status\n", &long).await.unwrap();
    assert!(said.ends_with("   …") && said.len() < 700, "{} bytes", said.len());
}

#[tokio::test]
async fn a_unix_socket_that_nobody_serves_is_told_from_one_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s").to_str().unwrap().to_owned();
    for kind in [Check::Ping, Check::Bird, Check::Cri] {
        let _ = std::fs::remove_file(&path);
        assert_eq!(ask(&kind(path.clone())).await, Err(format!("{path}: not there")));
        drop(Plain::bind(&path).unwrap());
        assert_eq!(ask(&kind(path.clone())).await, Err(format!("{path}: nobody listens there")));
    }
}
