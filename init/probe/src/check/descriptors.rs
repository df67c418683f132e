// SPDX-License-Identifier: Apache-2.0
//! Each kind of question, some hundred times with each kind of answer: none leaves a descriptor behind.

use std::os::unix::net::UnixListener as Plain;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use kubermesh_node::service::Check;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener};
use tokio::time::timeout;

use super::ask;
use crate::cri::fake::{Answer, Fake, field, number};
use crate::pods;

const TRIES: usize = 200;

/// For what must come on a busy machine too.
const LONG: Duration = Duration::from_secs(20);

/// A connection that the kernel makes is made by then.
const WHILE: Duration = Duration::from_millis(100);

/// For what never comes.
const SHORT: Duration = Duration::from_millis(2);

/// Who is asked.
enum Question {
    Service(Check),
    Pods(String),
}

/// What comes of each try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Good,
    Bad,
    /// It is given up.
    Silence,
}

/// What a server says at once, and what when it was asked. Then it listens until it is left.
#[derive(Clone, Copy)]
struct Says(&'static str, &'static str);

const NOTHING: Says = Says("", "");
const GARBAGE: &str = "SSH-2.0-OpenSSH_9.2\r\n\r\n";
const UNIX: [fn(String) -> Question; 4] = [
    |socket| Question::Service(Check::Ping(socket)),
    |socket| Question::Service(Check::Bird(socket)),
    |socket| Question::Service(Check::Cri(socket)),
    Question::Pods,
];

/// Descriptors are counted, so other tests must not open theirs meanwhile: it runs in a process of its own.
#[test]
fn no_try_leaves_a_descriptor_behind_whatever_the_answer_is() {
    if std::env::var_os("PROBE_ALONE").is_none() {
        let name = "check::descriptors::no_try_leaves_a_descriptor_behind_whatever_the_answer_is";
        let alone = Command::new(std::env::current_exe().unwrap())
            .args([name, "--exact", "--nocapture"])
            .env("PROBE_ALONE", "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&alone.stderr).into_owned();
        assert!(alone.status.success(), "{said}");
        assert!(String::from_utf8_lossy(&alone.stdout).contains("1 passed"), "{name} is no test");
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        of_tcp().await;
        of_unix_sockets().await;
        of_runtimes().await;
    });
}

async fn of_tcp() {
    let http = |address: String| Question::Service(Check::Http(format!("http://{address}/")));
    let tcp = |address: String| Question::Service(Check::Tcp(address));
    let fine = Says("", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let unwell = Says("", "HTTP/1.1 503 Unwell\r\ncontent-length: 2\r\n\r\nno");
    each("HTTP that is fine", &http(serve_tcp(fine).await), Outcome::Good).await;
    each("HTTP that is unwell", &http(serve_tcp(unwell).await), Outcome::Bad).await;
    each("HTTP that is none", &http(serve_tcp(Says("", GARBAGE)).await), Outcome::Bad).await;
    each("HTTP without a word", &http(serve_tcp(NOTHING).await), Outcome::Silence).await;
    each("TCP", &tcp(serve_tcp(NOTHING).await), Outcome::Good).await;
    // A port that is taken and not listened at.
    let taken = TcpSocket::new_v6().unwrap();
    taken.bind("[::1]:0".parse().unwrap()).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    each("HTTP that is refused", &http(address.clone()), Outcome::Bad).await;
    each("TCP that is refused", &tcp(address), Outcome::Bad).await;
    // A queue that is full: the kernel answers no further one.
    let full = TcpSocket::new_v6().unwrap();
    full.bind("[::1]:0".parse().unwrap()).unwrap();
    let listener = full.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(one) = timeout(WHILE, TcpStream::connect(address)).await {
        queue.push(one.unwrap());
        assert!(queue.len() < 100, "the queue is never full");
    }
    each("HTTP that is not taken", &http(address.to_string()), Outcome::Silence).await;
    each("TCP that is not taken", &tcp(address.to_string()), Outcome::Silence).await;
}

async fn of_unix_sockets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fine");
    let fine = serve_unix(&path, Says("ok\n", ""));
    each("a worker that is fine", &UNIX[0](fine), Outcome::Good).await;
    let path = folder.path().join("bird");
    let fine = serve_unix(&path, Says("0001 BIRD ready.\n", "0013 Daemon is up and running\n"));
    each("BIRD that is fine", &UNIX[1](fine), Outcome::Good).await;
    let path = folder.path().join("denies");
    let denies = serve_unix(&path, Says("0001 BIRD ready.\n", "8002 Access denied\n"));
    each("BIRD that denies", &UNIX[1](denies), Outcome::Bad).await;
    let garbage = serve_unix(&folder.path().join("garbage"), Says(GARBAGE, ""));
    let silent = serve_unix(&folder.path().join("silent"), NOTHING);
    let refused = folder.path().join("refused");
    drop(Plain::bind(&refused).unwrap());
    let refused = refused.to_str().unwrap().to_owned();
    for (kind, question) in ["a worker", "BIRD", "a runtime", "pods"].iter().zip(UNIX) {
        each(&format!("{kind}, garbage"), &question(garbage.clone()), Outcome::Bad).await;
        each(&format!("{kind}, silence"), &question(silent.clone()), Outcome::Silence).await;
        each(&format!("{kind}, refused"), &question(refused.clone()), Outcome::Bad).await;
    }
}

async fn of_runtimes() {
    let ready = Fake::serve(|call, _| {
        let is_ready = [field(1, "RuntimeReady"), number(2, 1)].concat();
        let said = if call == "Status" { field(1, field(1, is_ready)) } else { vec![] };
        Answer::Message(said)
    });
    let refuses = Fake::serve(|_, _| Answer::Refusal("14", "server is not initialized yet"));
    let hangs = Fake::serve(|_, _| Answer::Silence);
    for (kind, question) in ["a runtime", "pods"].iter().zip(&UNIX[2..]) {
        each(&format!("{kind}, fine"), &question(ready.socket()), Outcome::Good).await;
        each(&format!("{kind}, a refusal"), &question(refuses.socket()), Outcome::Bad).await;
        each(&format!("{kind}, a call that hangs"), &question(hangs.socket()), Outcome::Silence)
            .await;
    }
}

/// Asks again and again. When the servers have let go of their ends too, as many are open as before.
async fn each(what: &str, question: &Question, expected: Outcome) {
    let before = open_descriptors();
    let within = if expected == Outcome::Silence { SHORT } else { LONG };
    for _ in 0..TRIES {
        let heard = timeout(within, question.ask()).await;
        let outcome = match &heard {
            Ok(Ok(())) => Outcome::Good,
            Ok(Err(_)) => Outcome::Bad,
            Err(_) => Outcome::Silence,
        };
        assert_eq!(outcome, expected, "{what}: {heard:?}");
    }
    let let_go = async {
        while open_descriptors() > before {
            tokio::task::yield_now().await;
        }
    };
    let is_late = timeout(LONG, let_go).await.is_err();
    let left = open_descriptors().saturating_sub(before);
    assert!(!is_late, "{what}: {TRIES} tries have left {left} descriptors");
}

impl Question {
    async fn ask(&self) -> Result<(), String> {
        match self {
            Self::Service(check) => ask(check).await.map(drop),
            Self::Pods(socket) => pods::see(socket).await.map(drop),
        }
    }
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

async fn serve_tcp(says: Says) -> String {
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(stream, says));
        }
    });
    address
}

fn serve_unix(path: &PathBuf, says: Says) -> String {
    let listener = UnixListener::bind(path).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(stream, says));
        }
    });
    path.to_str().unwrap().to_owned()
}

async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, says: Says) {
    let mut asked = [0; 1024];
    let _ = stream.write_all(says.0.as_bytes()).await;
    if matches!(stream.read(&mut asked).await, Ok(1..)) {
        let _ = stream.write_all(says.1.as_bytes()).await;
    }
    while matches!(stream.read(&mut asked).await, Ok(1..)) {}
}
