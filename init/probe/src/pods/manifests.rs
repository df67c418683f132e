// SPDX-License-Identifier: Apache-2.0
//! The static pods that are wanted: the manifests in kubelet's folder.
//!
//! Only the pod's name is looked for, and loosely: it is for the sentence a person reads and to
//! tell pods apart. Whether a manifest is right is kubelet's to say.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// A longer manifest than kubelet takes (10 MB) is none; a name further down than this is not found.
const READ_LIMIT: u64 = 1024 * 1024;

/// A file that wants a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) file: String,
    /// `metadata.name`, where it was found.
    pub(crate) pod: Option<String>,
}

/// Every regular file whose name does not begin with a dot, in order: kubelet takes a
/// `beacon.yaml.bak` for a manifest too.
pub(crate) fn read(folder: &Path) -> io::Result<Vec<Manifest>> {
    let mut manifests = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !file.starts_with('.') && path.is_file() {
            let mut text = String::new();
            let heard =
                File::open(&path).and_then(|open| open.take(READ_LIMIT).read_to_string(&mut text));
            manifests.push(Manifest { file, pod: heard.ok().and_then(|_| pod_name(&text)) });
        }
    }
    manifests.sort_by(|left, right| left.file.cmp(&right.file));
    Ok(manifests)
}

pub(crate) fn pod_name(text: &str) -> Option<String> {
    if let Ok(json) = serde_json::from_str::<serde_json::Value>(text) {
        return json.pointer("/metadata/name")?.as_str().map(str::to_owned);
    }
    let mut lines = text.lines().skip_while(|line| !line.starts_with("metadata:"));
    let inline = lines.next()?.strip_prefix("metadata:")?;
    if let Some(flow) = inline.trim().strip_prefix('{') {
        return flow.split([',', '}']).find_map(name_in);
    }
    // The keys of a YAML mapping stand in one column; deeper ones belong to labels and annotations.
    let mut keys = lines.filter(|line| !line.trim().is_empty() && !line.trim().starts_with('#'));
    let first = keys.next()?;
    let column = indent(first);
    std::iter::once(first)
        .chain(keys)
        .take_while(|line| indent(line) > 0)
        .filter(|line| indent(line) == column)
        .find_map(name_in)
}

fn indent(line: &str) -> usize {
    line.chars().take_while(|c| *c == ' ').count()
}

fn name_in(pair: &str) -> Option<String> {
    let value = pair.trim().strip_prefix("name:")?;
    let value = value.split(" #").next()?.trim().trim_matches(['"', '\'']);
    (!value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pods_name_is_found_in_yaml_and_json() {
        let block = "apiVersion: v1\nmetadata:\n  # said\n  labels:\n    name: wrong\n  name: \"a-b\" # why\nspec:\n";
        for (text, name) in [
            (block, Some("a-b")),
            ("metadata: { labels: {}, name: flow }\n", Some("flow")),
            (r#"{"metadata":{"name":"json"}}"#, Some("json")),
            ("metadata:\n  labels:\n    name: wrong\nname: wrong\n", None),
            ("spec:\n  containers:\n  - name: wrong\n", None),
            ("", None),
        ] {
            assert_eq!(pod_name(text).as_deref(), name, "{text}");
        }
    }

    #[test]
    fn what_kubelet_takes_for_a_manifest_is_one() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.yaml", "a.json", ".hidden.yaml", "c.yaml.bak"] {
            std::fs::write(folder.path().join(name), "metadata:\n  name: x\n").unwrap();
        }
        std::fs::create_dir(folder.path().join("folder.yaml")).unwrap();
        let files: Vec<_> =
            read(folder.path()).unwrap().into_iter().map(|manifest| manifest.file).collect();
        assert_eq!(files, ["a.json", "b.yaml", "c.yaml.bak"]);
    }
}
