// SPDX-License-Identifier: Apache-2.0
//! Turns the first line of a request into the whole answer: pure, without sockets.
//!
//! What is deliberately absent: headers, bodies, kept connections. Each answer closes.

use std::net::IpAddr;

use crate::identity::Identity;

/// Answers `GET / HTTP/1.1` and its like with all the bytes to send.
///
/// `from` is in the answer so that whoever asks sees which family and which address arrived.
pub(crate) fn answer(request_line: &str, identity: &Identity, from: IpAddr) -> String {
    let mut words = request_line.split_ascii_whitespace();
    let (method, path, version) = (words.next(), words.next(), words.next());
    let known_version = version.is_some_and(|version| version.starts_with("HTTP/1."));
    match (method, path, known_version) {
        (Some("GET"), Some("/"), true) => {
            response("200 OK", "application/json", &who(identity, from))
        }
        (Some("GET"), Some("/healthz"), true) => response("200 OK", "text/plain", "ok\n"),
        (Some("GET"), Some(_), true) => {
            response("404 Not Found", "text/plain", "here are only / and /healthz\n")
        }
        (Some(_), Some(_), true) => {
            response("405 Method Not Allowed", "text/plain", "only GET is answered\n")
        }
        (_, _, _) => response("400 Bad Request", "text/plain", "not a request of HTTP/1\n"),
    }
}

fn who(identity: &Identity, from: IpAddr) -> String {
    let addresses: Vec<String> = identity.addresses.iter().map(|address| quoted(address)).collect();
    format!(
        "{{\"node\":{},\"pod\":{},\"pod_ips\":[{}],\"from\":{}}}\n",
        quoted(&identity.node),
        quoted(&identity.pod),
        addresses.join(","),
        // An IPv4 peer on a dual-stack socket shows as ::ffff:a.b.c.d (RFC 4291, section 2.5.5.2).
        quoted(&from.to_canonical().to_string()),
    )
}

/// A JSON string (RFC 8259, section 7). Names and addresses hold nothing to escape, but the
/// environment is not ours.
fn quoted(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|letter| match letter {
            '"' => "\\\"".to_owned(),
            '\\' => "\\\\".to_owned(),
            control if control < ' ' => format!("\\u{:04x}", u32::from(control)),
            plain => plain.to_string(),
        })
        .collect();
    format!("\"{escaped}\"")
}

fn response(status: &str, kind: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity {
            node: "n1".to_owned(),
            pod: "beacon-n1".to_owned(),
            addresses: vec!["fd00::2".to_owned(), "10.0.0.2".to_owned()],
        }
    }

    fn asked(request_line: &str) -> String {
        answer(request_line, &identity(), "::ffff:10.0.0.1".parse().unwrap())
    }

    #[test]
    fn the_root_says_who_answers_and_whom() {
        assert_eq!(
            asked("GET / HTTP/1.1"),
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 83\r\n\
             Connection: close\r\n\r\n\
             {\"node\":\"n1\",\"pod\":\"beacon-n1\",\"pod_ips\":[\"fd00::2\",\"10.0.0.2\"],\"from\":\"10.0.0.1\"}\n"
        );
    }

    #[test]
    fn health_is_a_word() {
        assert!(asked("GET /healthz HTTP/1.0").ends_with("\r\n\r\nok\n"));
    }

    #[test]
    fn what_is_not_here_or_not_http_is_told_apart() {
        assert!(asked("GET /metrics HTTP/1.1").starts_with("HTTP/1.1 404 "));
        assert!(asked("POST / HTTP/1.1").starts_with("HTTP/1.1 405 "));
        assert!(asked("GET /").starts_with("HTTP/1.1 400 "));
        assert!(asked("GET / HTTP/2").starts_with("HTTP/1.1 400 "));
        assert!(asked("").starts_with("HTTP/1.1 400 "));
    }

    #[test]
    fn a_name_cannot_leave_its_string() {
        assert_eq!(quoted("a\"b\\c\n"), "\"a\\\"b\\\\c\\u000a\"");
    }
}
