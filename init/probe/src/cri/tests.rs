// SPDX-License-Identifier: Apache-2.0
//! The client against a runtime that misbehaves, and against containerd itself.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kubermesh_node::service::Check;
use kubermesh_node::time::Span;

use super::fake::{Answer, Fake, field, number};
use crate::check::ask;

fn condition(name: &str, status: u8, reason: &str, message: &str) -> Vec<u8> {
    let reason = [field(3, reason), field(4, message)].concat();
    field(1, [field(1, name), number(2, status), reason].concat())
}

#[tokio::test]
async fn a_runtime_is_healthy_when_it_says_so_whatever_its_network_is() {
    let ready = Fake::serve(|_, _| {
        let conditions =
            [condition("RuntimeReady", 1, "", ""), condition("NetworkReady", 0, "NoCni", "none")];
        Answer::Message(field(1, conditions.concat()))
    });
    let socket = ready.socket();
    assert_eq!(
        ask(&Check::Cri(socket.clone())).await,
        Ok(format!("{socket}: the runtime is ready"))
    );

    let down = Fake::serve(|_, _| {
        Answer::Message(field(1, condition("RuntimeReady", 0, "ShimGone", "no shim")))
    });
    let socket = down.socket();
    let words = format!("{socket}: the runtime is not ready: ShimGone no shim");
    assert_eq!(ask(&Check::Cri(socket)).await, Err(words));
}

#[tokio::test]
async fn a_runtime_that_is_not_there_yet_is_told_in_its_own_words() {
    let early = Fake::serve(|_, _| Answer::Refusal("14", "server is not initialized yet"));
    let socket = early.socket();
    let words = format!("{socket} answered Status with Unavailable: server is not initialized yet");
    assert_eq!(ask(&Check::Cri(socket)).await, Err(words));
}

/// containerd, as `image/runtime/build` made it, with a root, state and socket of its own.
struct Containerd {
    folder: tempfile::TempDir,
    process: Child,
}

impl Containerd {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../image/runtime/build");
        let tree = folder.path().join("tree");
        let built = Command::new(build).arg(&tree).output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let config = format!(
            "version = 3\nroot = \"{}\"\nstate = \"{}\"\n[grpc]\naddress = \"{}\"\n[ttrpc]\naddress = \"{}\"\n",
            at("root"),
            at("state"),
            at("cri"),
            at("ttrpc"),
        );
        std::fs::write(folder.path().join("config.toml"), config).unwrap();
        let process = Command::new(tree.join("usr/bin/containerd"))
            .arg("--config")
            .arg(folder.path().join("config.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        Self { folder, process }
    }

    fn socket(&self) -> String {
        self.folder.path().join("cri").to_str().unwrap().to_owned()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        // What is mounted there would keep the folder from being removed.
        let path: PathBuf = self.folder.path().join("state");
        let _ = Command::new("umount").arg("-qlR").arg(path).status();
    }
}

#[tokio::test]
async fn containerd_itself_answers() {
    let containerd = Containerd::start();
    let check = Check::Cri(containerd.socket());
    let healthy = Ok(format!("{}: the runtime is ready", containerd.socket()));
    let mut last = Err(String::new());
    for _ in 0..300 {
        last = ask(&check).await;
        if last == healthy {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(last, healthy, "{}", containerd.log());
    let runtime = super::Runtime::connect(&containerd.socket()).await.unwrap();
    assert_eq!(runtime.sandboxes().await.unwrap(), []);
    assert_eq!(runtime.containers().await.unwrap(), []);
    let unknown = runtime.exit_code("nobody").await.unwrap_err().to_string();
    assert!(unknown.contains("answered ContainerStatus with NotFound"), "{unknown}");
    let socket = containerd.socket();
    let stopped =
        tokio::task::spawn_blocking(move || crate::stop_pods(&socket, Span::from_secs(10)));
    stopped.await.unwrap().unwrap();
}
