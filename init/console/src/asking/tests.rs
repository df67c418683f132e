// SPDX-License-Identifier: Apache-2.0
//! Conversations with a server that is played by a thread of the test.

use std::os::unix::net::UnixListener;

use super::*;

/// Serves one connection: for each call that comes the next of `replies`; then waits for the end.
fn serve(listener: UnixListener, replies: Vec<&'static str>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut heard = String::new();
        for reply in replies {
            let mut byte = [0];
            loop {
                stream.read_exact(&mut byte).unwrap();
                heard.push(if byte[0] == 0 { '\n' } else { char::from(byte[0]) });
                if byte[0] == 0 {
                    break;
                }
            }
            stream.write_all(reply.as_bytes()).unwrap();
            stream.write_all(&[0]).unwrap();
        }
        heard
    })
}

#[test]
fn two_calls_go_over_one_connection_and_both_answers_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control");
    let server = serve(
        UnixListener::bind(&path).unwrap(),
        vec![r#"{"parameters":{"a":1}}"#, r#"{"parameters":{}}"#],
    );
    let restart = Request::Restart { service: "bird".parse().unwrap() };
    let calls = vec![call(&Request::Why {}), call(&restart)];
    let answers = ask(&path, calls, Duration::from_secs(5)).unwrap();
    assert_eq!(answers, [serde_json::json!({"a": 1}), serde_json::json!({})]);
    assert_eq!(
        server.join().unwrap(),
        "{\"method\":\"org.kubermesh.Node.Why\",\"parameters\":{}}\n\
         {\"method\":\"org.kubermesh.Node.Restart\",\"parameters\":{\"service\":\"bird\"}}\n"
    );
}

#[test]
fn a_no_from_the_node_is_told_in_words() {
    for (reply, words) in [
        (
            r#"{"error":"org.kubermesh.Node.NoSuchService","parameters":{"service":"brid"}}"#,
            "there is no service brid",
        ),
        (
            r#"{"error":"org.kubermesh.Node.NotAllowed","parameters":{"sentence":"only root may reboot"}}"#,
            "not allowed: only root may reboot",
        ),
        (
            r#"{"error":"org.varlink.service.MethodNotFound","parameters":{"method":"Why"}}"#,
            "this node does not know Why",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control");
        let server = serve(UnixListener::bind(&path).unwrap(), vec![reply]);
        let refusal = ask(&path, vec![call(&Request::Why {})], Duration::from_secs(5)).unwrap_err();
        server.join().unwrap();
        assert_eq!((refusal.to_string().as_str(), refusal.is_unreachable()), (words, false));
    }
}

#[test]
fn where_no_node_is_the_path_is_named() {
    let refusal =
        ask(Path::new("/nowhere/control"), vec![call(&Request::Why {})], Duration::from_secs(1))
            .unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "no Kubermesh node here: /nowhere/control does not exist; run this on a node"
    );
}

#[test]
fn a_server_that_says_nothing_is_left_at_the_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control");
    let _listener = UnixListener::bind(&path).unwrap();
    let start = Instant::now();
    let refusal = ask(&path, vec![call(&Request::Why {})], Duration::from_secs(1)).unwrap_err();
    assert!(refusal.to_string().ends_with("/control gave no answer within 1s"), "{refusal}");
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

#[test]
fn a_server_whose_queue_is_full_is_asked_again_until_the_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control");
    let listener = UnixListener::bind(&path).unwrap();
    // listen(2) again on a listening socket sets its backlog; one connection then fills it.
    rustix::net::listen(&listener, 0).unwrap();
    let _first = UnixStream::connect(&path).unwrap();
    let mut asking =
        Asking::new(&path, vec![call(&Request::Why {})], Duration::from_secs(1), Instant::now());
    assert!(asking.advance(Instant::now()).unwrap().is_none());
    assert!(asking.interest().is_none(), "it is connected where nobody takes connections");
    listener.accept().unwrap();
    assert!(asking.advance(Instant::now()).unwrap().is_none());
    assert!(asking.interest().is_some());
}

#[test]
fn an_answer_without_end_is_refused_rather_than_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control");
    let listener = UnixListener::bind(&path).unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // The asker hangs up in the middle of it, so the result does not matter.
        let _ = stream.write_all(&vec![b' '; 1024 * 1024]);
    });
    let refusal = ask(&path, vec![call(&Request::Why {})], Duration::from_secs(5)).unwrap_err();
    assert!(refusal.to_string().ends_with("answered what is not Varlink"), "{refusal}");
    server.join().unwrap();
}
