// SPDX-License-Identifier: Apache-2.0
//! The command line as a person meets it: the real program, and a node played by a thread of the
//! test at a socket of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may stop where it stands"
)]

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread::JoinHandle;

/// A node that takes connections one after the other; on each it answers the calls, in order.
struct Node {
    folder: tempfile::TempDir,
    calls: JoinHandle<Vec<String>>,
}

impl Node {
    fn that_answers<C>(connections: C) -> Self
    where
        C: IntoIterator<Item = Vec<&'static str>> + Send + 'static,
    {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("control")).unwrap();
        let calls = std::thread::spawn(move || {
            let mut calls = Vec::new();
            for answers in connections {
                let (mut stream, _) = listener.accept().unwrap();
                for answer in answers {
                    let mut call = Vec::new();
                    let mut byte = [1];
                    while stream.read_exact(&mut byte).is_ok() && byte != [0] {
                        call.push(byte[0]);
                    }
                    calls.push(String::from_utf8(call).unwrap());
                    stream.write_all(answer.as_bytes()).unwrap();
                    stream.write_all(&[0]).unwrap();
                }
            }
            calls
        });
        Self { folder, calls }
    }

    /// What the program printed, and which calls the node heard.
    fn asked(self, arguments: &[&str]) -> (Output, Vec<String>) {
        let output = kubermesh_at(&self.folder.path().join("control"), arguments);
        (output, self.calls.join().unwrap())
    }
}

fn kubermesh_at(socket: &Path, arguments: &[&str]) -> Output {
    let mut command = program();
    command.arg("--socket").arg(socket).args(arguments).output().unwrap()
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubermesh"));
    command.env_remove("KUBERMESH_CHANNEL");
    command
}

/// Exit code, standard output, standard error.
fn told(output: &Output) -> (i32, &str, &str) {
    (
        output.status.code().unwrap(),
        std::str::from_utf8(&output.stdout).unwrap(),
        std::str::from_utf8(&output.stderr).unwrap(),
    )
}

const ISOLATED: &str = r#"{"parameters":{"hostname":"km-1","address":"fd12::1","router_id":"10.1.2.3",
    "identity":"00ff","version":"0.1.0","now":190000,"word":"isolated","recoveries":2,
    "status":{"phase":"isolated","sentence":"no neighbour on eth0","since":65000,
        "faults":[{"subject":"port eth1","sentence":"half speed","since":100000}]},
    "pods":{"wanted":1,"running":0,"sentence":"beacon waits for its image"},
    "log":{"entries":812,"dropped":3,"faults":[]}}}"#;

const READY: &str = r#"{"parameters":{"hostname":"km-1","address":"fd12::1","router_id":"10.1.2.3",
    "identity":"00ff","version":"0.1.0","now":190000,"word":"ready","recoveries":0,
    "status":{"phase":"ready","sentence":"1 neighbour, 1 pod","since":65000,"faults":[]},
    "pods":{"wanted":1,"running":1,"sentence":""},
    "log":{"entries":812,"dropped":0,"faults":[]}}}"#;

const STATUS_CALL: &str = r#"{"method":"org.kubermesh.Node.Status","parameters":{}}"#;

#[test]
fn a_status_is_readable_and_without_escape_codes_where_it_is_no_terminal() {
    let (output, calls) = Node::that_answers(vec![vec![ISOLATED]]).asked(&["status"]);
    let wanted = "\
km-1  isolated for 2min 5s: no neighbour on eth0
  address    fd12::1
  router id  10.1.2.3
  identity   00ff
  image      0.1.0, up 3min 10s
  pods       0 of 1 running, beacon waits for its image
  log        812 entries, 3 lost
  crashes    PID 1 recovered 2 times
  fault      port eth1: half speed (for 1min 30s)
";
    assert_eq!(told(&output), (0, wanted, ""));
    assert_eq!(calls, [STATUS_CALL]);
}

#[test]
fn json_is_the_nodes_own_answer() {
    let answer = r#"{"parameters":{"ports":[],"address_ready":true,"routing":false,"faults":[]}}"#;
    let (output, calls) = Node::that_answers(vec![vec![answer]]).asked(&["links", "--json"]);
    let wanted = "\
{
  \"address_ready\": true,
  \"faults\": [],
  \"ports\": [],
  \"routing\": false
}
";
    assert_eq!(told(&output), (0, wanted, ""));
    assert_eq!(calls, [r#"{"method":"org.kubermesh.Node.Links","parameters":{}}"#]);
}

#[test]
fn services_are_told_with_the_time_by_the_nodes_own_clock() {
    let services = r#"{"parameters":{"services":[{"name":"bird","state":"running","pid":123,
        "since":180000,"starts":1,"failures":0,"sentence":""}]}}"#;
    let (output, calls) = Node::that_answers(vec![vec![services, ISOLATED]]).asked(&["services"]);
    let wanted = "\
SERVICE  STATE    FOR  PID  STARTS  FAILURES
bird     running  10s  123  1       0
";
    assert_eq!(told(&output), (0, wanted, ""));
    assert_eq!(calls[1], STATUS_CALL);
}

#[test]
fn why_and_light_are_told_in_words() {
    let why = r#"{"parameters":{"conditions":[
        {"name":"a cable","met":true,"sentence":"eth0"},
        {"name":"a neighbour","met":false,"sentence":"hello sent for 4s"}]}}"#;
    let (output, _) = Node::that_answers(vec![vec![why]]).asked(&["why"]);
    assert_eq!(
        told(&output),
        (0, "   yes a cable: eth0\n─► no  a neighbour: hello sent for 4s\n", "")
    );
    let light = r#"{"parameters":{"shows":"isolated","words":"blue, one slow blink",
        "lights":{"devices":["20001234"],"faults":[]}}}"#;
    let (output, _) = Node::that_answers(vec![vec![light]]).asked(&["light"]);
    assert_eq!(told(&output), (0, "isolated: blue, one slow blink\n  blink(1) 20001234\n", ""));
}

#[test]
fn acting_sends_the_right_call_and_says_what_happens() {
    for (arguments, call, said) in [
        (
            &["restart", "bird"][..],
            r#"{"method":"org.kubermesh.Node.Restart","parameters":{"service":"bird"}}"#,
            "bird is stopped and started again\n",
        ),
        (
            &["identify", "--lasts", "10min"],
            r#"{"method":"org.kubermesh.Node.Identify","parameters":{"lasts":"10min"}}"#,
            "this node's light blinks for 10min\n",
        ),
        (
            &["reboot"],
            r#"{"method":"org.kubermesh.Node.Reboot","parameters":{}}"#,
            "this node stops its services in order and starts again\n",
        ),
        (
            &["poweroff"],
            r#"{"method":"org.kubermesh.Node.PowerOff","parameters":{}}"#,
            "this node stops its services in order and switches itself off\n",
        ),
    ] {
        let node = Node::that_answers(vec![vec![r#"{"parameters":{}}"#]]);
        let (output, calls) = node.asked(arguments);
        assert_eq!(told(&output), (0, said, ""));
        assert_eq!(calls, [call]);
    }
}

#[test]
fn a_no_of_the_node_is_exit_code_one() {
    let no = r#"{"error":"org.kubermesh.Node.NoSuchService","parameters":{"service":"brid"}}"#;
    let (output, _) = Node::that_answers(vec![vec![no]]).asked(&["restart", "brid"]);
    assert_eq!(told(&output), (1, "", "kubermesh: there is no service brid\n"));
    let no =
        r#"{"error":"org.kubermesh.Node.NotAllowed","parameters":{"sentence":"only root may"}}"#;
    let (output, _) = Node::that_answers(vec![vec![no]]).asked(&["reboot", "--json"]);
    assert_eq!(told(&output), (1, "", "kubermesh: not allowed: only root may\n"));
}

#[test]
fn where_nobody_answers_the_exit_code_is_three() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control");
    let output = kubermesh_at(&path, &["status"]);
    let words = format!(
        "kubermesh: no Kubermesh node here: {} does not exist; run this on a node\n",
        path.display()
    );
    assert_eq!(told(&output), (3, "", words.as_str()));
    drop(UnixListener::bind(&path).unwrap());
    let output = kubermesh_at(&path, &["status"]);
    let words =
        format!("kubermesh: connect to {}: Connection refused (os error 111)\n", path.display());
    assert_eq!(told(&output), (3, "", words.as_str()));
    let (output, _) = Node::that_answers(vec![vec!["nonsense"]]).asked(&["why"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(told(&output).2.contains("answered what is not Varlink"), "{output:?}");
}

#[test]
fn what_is_no_command_is_exit_code_two_and_the_help_has_examples() {
    let output = program().arg("statsu").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(told(&output).2.contains("'status'"), "{output:?}");
    let output = program().args(["restart", "Bird"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(told(&output).2.contains("1 to 32 of a-z, 0-9 and -"), "{output:?}");
    let output = program().arg("--help").output().unwrap();
    assert!(told(&output).1.contains("kubermesh status --wait ready"), "{output:?}");
    let output = program().args(["completion", "bash"]).output().unwrap();
    assert!(output.status.success() && told(&output).1.contains("poweroff"), "{output:?}");
}

#[test]
fn bash_takes_the_completion_and_completes_with_it() {
    let script = r#"set -e; source <("$0" completion bash)
        COMP_WORDS=(kubermesh power) COMP_CWORD=1 COMP_LINE="kubermesh power"
        _kubermesh kubermesh power kubermesh; echo "${COMPREPLY[@]}""#;
    let program = env!("CARGO_BIN_EXE_kubermesh");
    let bash = Command::new("/bin/bash").args(["-c", script, program]).output().unwrap();
    assert_eq!(told(&bash), (0, "poweroff\n", ""));
}

#[test]
fn waiting_ends_when_the_node_is_so_and_tells_why_when_it_is_not_in_time() {
    let node = Node::that_answers(vec![vec![ISOLATED], vec![ISOLATED], vec![READY]]);
    let (output, calls) = node.asked(&["status", "--wait", "ready,degraded", "--within", "30s"]);
    assert_eq!(told(&output).0, 0);
    assert!(told(&output).1.starts_with("km-1  ready for 2min 5s: 1 neighbour, 1 pod\n"));
    assert_eq!(calls.len(), 3);
    // How often it asks in its time is the machine's affair.
    let node = Node::that_answers(std::iter::repeat(vec![ISOLATED]));
    let socket = node.folder.path().join("control");
    let output = kubermesh_at(&socket, &["status", "--wait", "ready", "--within", "2s"]);
    let words = "kubermesh: not ready after 2s, still isolated: no neighbour on eth0\n";
    assert_eq!(told(&output), (1, "", words));
    let nowhere = PathBuf::from("/nowhere/control");
    let output = kubermesh_at(&nowhere, &["status", "--wait", "ready", "--within", "300ms"]);
    let words = "kubermesh: not ready after 300ms: no Kubermesh node here: /nowhere/control does not exist; run this on a node\n";
    assert_eq!(told(&output), (3, "", words));
}

#[test]
fn a_worker_is_started_by_pid_one_alone() {
    let output = program().arg("console").output().unwrap();
    let words = "kubermesh: $KUBERMESH_CHANNEL names no descriptor: a worker is started by PID 1\n";
    assert_eq!(told(&output), (1, "", words));
}
