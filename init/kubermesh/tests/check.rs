// SPDX-License-Identifier: Apache-2.0
//! `kubermesh check` on good and bad files: each refusal with file, line, key and what is allowed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may stop where it stands"
)]

use std::path::Path;
use std::process::{Command, Output};

fn check(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubermesh"));
    command.current_dir(folder).arg("check").args(arguments).output().unwrap()
}

fn told(output: &Output) -> (i32, &str, &str) {
    (
        output.status.code().unwrap(),
        std::str::from_utf8(&output.stdout).unwrap(),
        std::str::from_utf8(&output.stderr).unwrap(),
    )
}

fn write(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

#[test]
fn files_that_fit_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "node.toml", "[mesh]\nhello = \"2s\"\n");
    write(folder.path(), "o/usr/lib/kubermesh/services/a.toml", "command = [\"/a\"]\n");
    write(
        folder.path(),
        "o/usr/lib/kubermesh/services/b.toml",
        "command = [\"/b\"]\nafter = [\"a\"]\n",
    );
    write(folder.path(), "o/etc/containerd/config.toml", "this is none of ours");
    let output = check(folder.path(), &["node.toml", "o"]);
    assert_eq!(told(&output), (0, "3 files, all fit\n", ""));
    assert_eq!(told(&check(folder.path(), &["node.toml"])), (0, "1 file, fits\n", ""));
}

#[test]
fn a_bad_node_toml_is_told_with_line_key_and_what_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    for (text, said) in [
        (
            "# ours\n[mesh]\nhello = \"1500ms\"\n",
            "node.toml:3: mesh.hello = 1500ms, allowed is 1s to 60s, whole seconds\n",
        ),
        (
            "\n[mesh]\nprefx = \"fd00::/64\"\n",
            "node.toml:3: prefx = \"fd00::/64\": unknown field `prefx`, expected one of `prefix`, `hello`, `dead`, `bfd`\n",
        ),
        (
            "[mesh]\nhello = 5\n",
            "node.toml:2: hello = 5: invalid type: integer `5`, expected a string\n",
        ),
        (
            "[ports]\neth0 = \"upling\"\n",
            "node.toml:2: eth0 = \"upling\": unknown variant `upling`, expected one of `mesh`, `uplink`, `off`\n",
        ),
    ] {
        write(folder.path(), "node.toml", text);
        let output = check(folder.path(), &["node.toml"]);
        assert_eq!(told(&output), (1, said, "kubermesh: 1 of 1 files do not fit\n"));
    }
}

#[test]
fn bad_privileges_are_told_with_line_key_and_what_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    for (text, said) in [
        (
            "command = [\"/a\"]\n[privileges]\nwrites = [\"run\"]\n",
            "a.toml:3: privileges.writes = \"run\", allowed is an absolute path below / without . or .. or / at its end\n",
        ),
        (
            "command = [\"/a\"]\n[privileges]\nsystem_calls = [\"file\"]\n",
            "a.toml:3: system_calls = [\"file\"]: unknown variant `file`, expected one of `files`, `watching`, `unix`, `internet`, `netlink`, `terminals`, `lights`, `disks`, `mounts`, `programs`\n",
        ),
    ] {
        write(folder.path(), "a.toml", text);
        let output = check(folder.path(), &["a.toml"]);
        assert_eq!(told(&output), (1, said, "kubermesh: 1 of 1 files do not fit\n"));
        assert_eq!(told(&check(folder.path(), &["."])).1, format!("./{said}"));
    }
}

#[test]
fn services_that_do_not_fit_each_other_are_told_with_the_line_of_their_after() {
    let folder = tempfile::tempdir().unwrap();
    let services = "o/usr/lib/kubermesh/services";
    write(
        folder.path(),
        &format!("{services}/kubelet.toml"),
        "command = [\"/k\"]\nafter = [\"containrd\"]\n",
    );
    write(
        folder.path(),
        &format!("{services}/bird.toml"),
        "command = [\"/b\"]\n\n[ready]\nwithin = \"20min\"\n",
    );
    write(folder.path(), &format!("{services}/x.toml"), "command = [\"/x\"]\nafter = [\"y\"]\n");
    write(folder.path(), &format!("{services}/y.toml"), "after = [\"x\"]\ncommand = [\"/y\"]\n");
    let output = check(folder.path(), &["o"]);
    let (code, said, end) = told(&output);
    assert_eq!((code, end), (1, "kubermesh: 3 of 4 files do not fit\n"));
    for line in [
        format!("{services}/bird.toml:4: ready.within = 20min, allowed is 1s to 10min\n"),
        format!(
            "{services}/kubelet.toml:2: after = \"containrd\", but there is no containrd.toml\n"
        ),
        format!(
            "{services}/x.toml:2: services wait for each other in a circle: x after y after x\n"
        ),
    ] {
        assert!(said.contains(&line), "no {line:?} in {said:?}");
    }
}

#[test]
fn a_later_overlay_replaces_a_file_of_an_earlier_one() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "o/usr/lib/kubermesh/services/a.toml",
        "command = [\"/a\"]\nafter = [\"b\"]\n",
    );
    write(folder.path(), "mine/usr/lib/kubermesh/services/a.toml", "command = [\"/a\"]\n");
    assert_eq!(told(&check(folder.path(), &["o", "mine"])), (0, "1 file, fits\n", ""));
    assert_eq!(told(&check(folder.path(), &["mine", "o"])).0, 1);
}

#[test]
fn a_lone_service_file_is_checked_for_itself() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.toml", "command = [\"/a\"]\nafter = [\"elsewhere\"]\n");
    assert_eq!(told(&check(folder.path(), &["a.toml"])), (0, "1 file, fits\n", ""));
    write(folder.path(), "A.toml", "command = [\"/a\"]\n");
    let said = "A.toml: the name of a service file is 1 to 32 of a-z, 0-9 and -, a letter first, and .toml\n";
    assert_eq!(told(&check(folder.path(), &["A.toml"])).1, said);
}

#[test]
fn a_program_gets_the_refusals_as_json() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "node.toml", "[mesh]\nbfd = \"1h\"\n");
    let wanted = "\
{
  \"files\": 1,
  \"refusals\": [
    {
      \"file\": \"node.toml\",
      \"line\": 2,
      \"sentence\": \"mesh.bfd = 1h, allowed is 10ms to 10s\"
    }
  ]
}
";
    assert_eq!(told(&check(folder.path(), &["--json", "node.toml"])).1, wanted);
}

#[test]
fn what_is_not_there_or_holds_nothing_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let output = check(folder.path(), &["nowhere.toml"]);
    assert_eq!(
        told(&output),
        (1, "", "kubermesh: read nowhere.toml: No such file or directory (os error 2)\n")
    );
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    let output = check(folder.path(), &["empty"]);
    let words = "kubermesh: empty: nothing to check: no node.toml and no service file\n";
    assert_eq!(told(&output), (1, "", words));
}
