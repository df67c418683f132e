// SPDX-License-Identifier: Apache-2.0
//! Folders for sockets and private disks that go away however we end.
//!
//! Drop removes a folder. A process that is killed drops nothing, so a sweeper (a small shell in a session of
//! its own) holds the read end of a pipe: when the last of us is gone it reads the end of it and removes
//! the root of all our folders and the network namespaces listed in it.

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, ensure};

/// A private folder, removed with all it holds when this is dropped.
#[derive(Debug)]
pub struct Folder(tempfile::TempDir);

impl Folder {
    /// Makes a new one; `name` begins its name.
    pub fn new(name: &str) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix(&format!("{name}-"))
            .rand_bytes(4)
            .tempdir_in(&root()?.path)
            .with_context(|| format!("make a folder for {name}"))?;
        let longest = folder.path().as_os_str().len() + LONGEST_FILE;
        ensure!(
            longest < SOCKET_PATH,
            "the path {} is too long for sockets in it (TMPDIR names a shorter one)",
            folder.path().display()
        );
        Ok(Self(folder))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The path of a file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// Tells the sweeper to delete a network namespace should we die before its owner does.
pub(crate) fn sweep_namespace(name: &str) -> Result<()> {
    let list = root()?.path.join("namespaces");
    let mut file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&list)
        .with_context(|| format!("open {}", list.display()))?;
    writeln!(file, "{name}").with_context(|| format!("write {}", list.display()))
}

struct Root {
    path: PathBuf,
    /// Never written: its end tells the sweeper that we are gone.
    _alive: ChildStdin,
}

fn root() -> Result<&'static Root> {
    static ROOT: OnceLock<Result<Root, String>> = OnceLock::new();
    ROOT.get_or_init(|| make_root().map_err(|error| format!("{error:#}")))
        .as_ref()
        .map_err(|words| anyhow!("{words}"))
}

fn make_root() -> Result<Root> {
    let path = tempfile::Builder::new()
        .prefix("kubermesh-desk-")
        .tempdir()
        .context("make a folder for this desk")?
        .keep();
    let mut sweeper = Command::new("setsid")
        .args(["sh", "-c", SWEEP, "kubermesh-sweeper"])
        .arg(&path)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .context("start the sweeper (setsid, of util-linux)")?;
    let alive = sweeper.stdin.take().context("the sweeper has no input")?;
    Ok(Root { path, _alive: alive })
}

/// Ignores the signals of a closing terminal. The second round of `rm` meets what a process wrote while it died.
const SWEEP: &str = r#"trap '' INT TERM HUP
cat >/dev/null
if [ -r "$1/namespaces" ]; then
    while read -r name; do ip netns del "$name"; done <"$1/namespaces"
fi
rm -rf -- "$1" || { sleep 1; rm -rf -- "$1"; }"#;

/// The longest file name that the desk uses for a socket, with its slash.
const LONGEST_FILE: usize = 16;

/// `sun_path` of unix(7), with its closing zero.
const SOCKET_PATH: usize = 108;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_gone_when_it_is_dropped() {
        let folder = Folder::new("test").unwrap();
        let path = folder.path().to_path_buf();
        fs::write(folder.file("disk"), b"data").unwrap();

        drop(folder);

        assert!(!path.exists());
    }
}
