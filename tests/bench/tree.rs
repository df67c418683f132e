// SPDX-License-Identifier: Apache-2.0
//! The other inits as Debian 13 has them: a tree of unpacked packages, none of them installed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use kubermesh_tests::stage::{Stage, node_program};

/// The unpacked packages.
pub(crate) struct Tree {
    root: PathBuf,
    versions: BTreeMap<String, String>,
}

/// Debian's loader, and where its libraries are, in the tree as on a stage.
const LOADER: &str = "/usr/lib64/ld-linux-x86-64.so.2";
const LIBRARIES: [&str; 2] = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu/systemd"];

impl Tree {
    /// Has apt fetch what is not there yet.
    pub(crate) fn fetch() -> Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/packages");
        let output = Command::new(&script)
            .stderr(std::process::Stdio::inherit())
            .output()
            .with_context(|| format!("run {}", script.display()))?;
        ensure!(output.status.success(), "the other inits cannot be had: the reason is above");
        let folder = PathBuf::from(String::from_utf8(output.stdout)?.trim_end());
        let table = std::fs::read_to_string(folder.join("versions.tsv"))?;
        let rows = table.lines().filter_map(|row| row.split_once('\t'));
        let versions = rows.map(|(name, version)| (name.to_owned(), version.to_owned())).collect();
        Ok(Self { root: folder.join("root"), versions })
    }

    /// The version of a package.
    pub(crate) fn version(&self, package: &str) -> &str {
        self.versions.get(package).map_or("?", String::as_str)
    }

    /// A path of the tree, on this machine.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.root.join(inside.trim_start_matches('/'))
    }

    /// Puts a program of the tree onto a stage, under the same name, with the libraries it wants.
    pub(crate) fn program(&self, stage: Stage, inside: &str) -> Result<Stage> {
        let mut stage = stage.program(self.path(inside), inside);
        for library in self.libraries(inside)? {
            stage = stage.program(self.path(&library), &library);
        }
        Ok(stage)
    }

    /// A bare stage with what each trial needs: the service, a shell, and Debian's links.
    pub(crate) fn stage(&self) -> Result<Stage> {
        let mut stage = Stage::bare()
            .program(node_program("kubermesh-runner")?, "/runner")
            .program(node_program("kubermesh-actor")?, "/actor")
            .program(self.path("/usr/bin/busybox"), "/busybox")
            .link("/bin/sh", "/busybox")
            .link("/lib64", "/usr/lib64")
            .link("/lib", "/usr/lib")
            .link("/sbin", "/usr/sbin");
        for name in ["sh", "true", "sleep", "mkdir"] {
            stage = stage.link(format!("/usr/bin/{name}"), "/busybox");
        }
        Ok(stage)
    }

    /// What the loader would load. It only reads the program.
    fn libraries(&self, inside: &str) -> Result<Vec<String>> {
        let search = LIBRARIES.map(|folder| self.path(folder).display().to_string()).join(":");
        let output = Command::new(self.path(LOADER))
            .args(["--library-path", &search, "--list"])
            .arg(self.path(inside))
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        // A static program has none, and the loader says so by its status.
        let root = self.root.display().to_string();
        let paths = text
            .lines()
            .filter_map(|line| line.split_whitespace().find(|word| word.starts_with(&root)));
        let mut all: Vec<String> =
            paths.filter_map(|path| path.strip_prefix(&root)).map(str::to_owned).collect();
        if !all.is_empty() {
            all.push(LOADER.to_owned());
        }
        Ok(all)
    }

    /// Runs a program of the tree here, on its own libraries.
    pub(crate) fn command(&self, inside: &str) -> Command {
        let search = LIBRARIES.map(|folder| self.path(folder).display().to_string()).join(":");
        let mut command = Command::new(self.path(LOADER));
        command.args(["--library-path", &search]).arg(self.path(inside));
        command
    }
}
