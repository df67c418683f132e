// SPDX-License-Identifier: Apache-2.0
//! A container runtime for tests: it writes down each call and answers as the test says.
//!
//! Its messages are written byte by byte (protobuf.dev, "Encoding"; the numbers are api.proto's),
//! so that a wrong number in `messages.rs` is not wrong on both sides.

use std::sync::{Arc, Mutex};

use hyper::body::Bytes;
use hyper::http::{HeaderMap, HeaderValue, Request, Response};
use tokio::net::{UnixListener, UnixStream};

/// What is answered to a call.
pub(crate) enum Answer {
    Message(Vec<u8>),
    /// A gRPC status that is not 0, and its words.
    Refusal(&'static str, &'static str),
    Silence,
}

/// Answers a call, given its name and the id that it is about.
type Script = fn(&str, &str) -> Answer;

/// Serves until it is dropped.
pub(crate) struct Fake {
    folder: tempfile::TempDir,
    calls: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Fake {
    pub(crate) fn serve(script: Script) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("cri")).unwrap();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&calls);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(stream, script, Arc::clone(&record)));
            }
        });
        Self { folder, calls, task }
    }

    pub(crate) fn socket(&self) -> String {
        self.folder.path().join("cri").to_str().unwrap().to_owned()
    }

    /// The calls so far that change something: `StopContainer c1 5`.
    pub(crate) fn stops(&self) -> Vec<String> {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|call| call.starts_with("Stop")).cloned().collect()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connection(stream: UnixStream, script: Script, calls: Arc<Mutex<Vec<String>>>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::spawn(call(request, respond, script, Arc::clone(&calls)));
    }
}

async fn call(
    request: Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    script: Script,
    calls: Arc<Mutex<Vec<String>>>,
) {
    let name = request.uri().path().strip_prefix("/runtime.v1.RuntimeService/").unwrap().to_owned();
    let mut body = request.into_body();
    let mut heard = Vec::new();
    while let Some(data) = body.data().await {
        heard.extend_from_slice(&data.unwrap());
    }
    // gRPC's five bytes (not compressed, length), then field 1, a string, then field 2, a number.
    let id_length = usize::from(*heard.get(6).unwrap_or(&0));
    let (id, rest) = heard.get(7..).unwrap_or_default().split_at(id_length);
    let id = String::from_utf8(id.to_vec()).unwrap();
    let number = rest.get(1).map_or(String::new(), |number| format!(" {number}"));
    calls.lock().unwrap().push(format!("{name} {id}{number}"));
    let head = Response::builder().header("content-type", "application/grpc");
    match script(&name, &id) {
        Answer::Message(message) => {
            let mut stream = respond.send_response(head.body(()).unwrap(), false).unwrap();
            let length = u32::try_from(message.len()).unwrap().to_be_bytes();
            let framed = [[0].as_slice(), &length, &message].concat();
            stream.send_data(framed.into(), false).unwrap();
            let status = ("grpc-status".parse().unwrap(), HeaderValue::from_static("0"));
            stream.send_trailers(HeaderMap::from_iter([status])).unwrap();
        }
        Answer::Refusal(code, words) => {
            let head = head.header("grpc-status", code).header("grpc-message", words);
            respond.send_response(head.body(()).unwrap(), true).unwrap();
        }
        Answer::Silence => std::future::pending().await,
    }
}

/// A field that holds bytes, a string or a message (wire type 2).
pub(crate) fn field(number: u8, value: impl AsRef<[u8]>) -> Vec<u8> {
    let value = value.as_ref();
    assert!(value.len() < 128, "a longer one needs a second byte for its length");
    [&[(number << 3) | 2, u8::try_from(value.len()).unwrap()], value].concat()
}

/// A field that holds a number below 128 (wire type 0).
pub(crate) fn number(number: u8, value: u8) -> Vec<u8> {
    vec![number << 3, value]
}

/// `PodSandbox`, up, from kubelet's folder.
pub(crate) fn sandbox(id: &str, name: &str) -> Vec<u8> {
    let annotation = [field(1, "kubernetes.io/config.source"), field(2, "file")].concat();
    field(1, [field(1, id), field(2, field(1, name)), number(3, 0), field(6, annotation)].concat())
}

/// `Container` in `state` (1 runs, 2 has ended) whose pod allows seven seconds to end.
pub(crate) fn container(id: &str, of: &str, name: &str, state: u8) -> Vec<u8> {
    let annotation = [field(1, "io.kubernetes.pod.terminationGracePeriod"), field(2, "7")].concat();
    let parts = [field(1, id), field(2, of), field(3, field(1, name)), number(6, state)];
    field(1, [parts.concat(), field(9, annotation)].concat())
}
