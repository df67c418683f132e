// SPDX-License-Identifier: Apache-2.0
//! The setups of a bare machine: what cannot be had ends in one sentence that says what to do.
//!
//! Each runs in a mount namespace of its own in which something is missing, before programs that refuse as the real
//! ones do without a network. Needs root.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop where it stands")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use kubermesh_qemu::Folder;

#[test]
fn a_mirror_that_does_not_answer_is_one_sentence() {
    let refused = run("image/setup", "mount -t tmpfs none /usr/share/keyrings", "apt-get");
    assert_eq!(
        refused,
        [
            "installing debian-archive-keyring",
            "image/setup: the package mirror does not answer: check the network",
        ]
    );
    let refused = run("qemu/setup", "mount -t tmpfs none /usr/share/OVMF", "apt-get");
    assert_eq!(
        refused,
        ["installing ovmf", "qemu/setup: the package mirror does not answer: check the network",]
    );
}

#[test]
fn a_registry_that_does_not_answer_is_one_sentence() {
    let refused = run("init/setup", "true", "cargo");
    assert_eq!(
        refused,
        [
            "init/setup: the crates of Cargo.lock cannot be had: check the network and the room in /home/somebody/.cargo, then run this again",
        ]
    );
}

#[test]
fn a_check_names_what_is_missing_and_changes_nothing() {
    let missing = "mount -t tmpfs none /usr/share/OVMF";
    let told = run("qemu/setup --check", missing, "apt-get");
    assert_eq!(told, ["qemu/setup: missing: ovmf; run qemu/setup"]);
}

/// What a setup prints, and that it ends with status 1, where `refusing` does.
fn run(setup: &str, missing: &str, refusing: &str) -> Vec<String> {
    let folder = Folder::new("setups").unwrap();
    let program = folder.file(refusing);
    fs::write(&program, "#!/bin/sh\nexit 100\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let script = format!("{missing} && PATH=\"$0:$PATH\" exec {setup}");
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", &script])
        .arg(folder.path())
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .env("CARGO_HOME", "/home/somebody/.cargo")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let printed = [output.stdout, output.stderr].concat();
    String::from_utf8(printed).unwrap().lines().map(str::to_owned).collect()
}
