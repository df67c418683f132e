// SPDX-License-Identifier: Apache-2.0
//! What a power cut leaves half-written in DATA, and what its owner would stumble over at each start from then on.
//!
//! Each row was found by cutting a first boot at its flushes (`make cuts`). Nothing here is of any worth by then: what is
//! taken away is made anew, or fetched again.

use std::fs;
use std::io::{ErrorKind, Result};
use std::path::Path;

use crate::error::{StorageError, in_one_line};
use crate::say::say;
use crate::stick::Faults;

/// Content that is on its way to containerd: an empty `ref` in there keeps its image from ever coming.
const ON_ITS_WAY: &str = "lib/containerd/io.containerd.content.v1.content/ingest";

/// Files that are written once, without fsync(2), and made anew where they are not there; several in a row only together.
const MADE_ONCE: [&[&str]; 2] = [
    // Without a UUID in it containerd never says that it is healthy.
    &["lib/containerd/io.containerd.grpc.v1.introspection/uuid"],
    // By which it answers callers until a cluster gives it others. kubelet starts with both or with none.
    &["lib/kubelet/pki/kubelet.crt", "lib/kubelet/pki/kubelet.key"],
];

/// Takes it away, right after DATA is mounted: whoever wrote it has not started yet. What cannot be read is left as it is.
pub(crate) fn take_away(data: &Path, faults: &mut Faults) {
    let on_its_way = data.join(ON_ITS_WAY);
    note(&on_its_way, empty(&on_its_way), faults);
    for names in MADE_ONCE {
        let paths = || names.iter().map(|name| data.join(name));
        let read: Result<Vec<bool>> = paths().map(|path| is_whole(&path)).collect();
        let is_lost = read.map(|whole| !whole.into_iter().all(|whole| whole));
        for path in paths() {
            let delete = || fs::remove_file(&path).map(|()| true);
            let done = match &is_lost {
                Ok(true) => delete(),
                Ok(false) => Ok(false),
                Err(refusal) => Err(refusal.kind().into()),
            };
            note(&path, done, faults);
        }
    }
}

/// `done` says whether there was anything.
fn note(path: &Path, done: Result<bool>, faults: &mut Faults) {
    match done {
        Ok(false) => {}
        Ok(true) => say(&format!("{}: half-written before a power cut, deleted", path.display())),
        Err(source) if source.kind() == ErrorKind::NotFound => {}
        Err(source) => {
            let path = path.to_owned();
            let refusal = StorageError::Path { attempt: "look after", path, source };
            faults.add("DATA", &in_one_line(&refusal));
        }
    }
}

/// It is there and not lost: ext4 knows a file's length by then, and not always one byte of it.
fn is_whole(path: &Path) -> Result<bool> {
    match fs::read(path) {
        Ok(bytes) => Ok(bytes.iter().any(|byte| *byte != 0)),
        Err(source) if source.kind() == ErrorKind::NotFound => Ok(false),
        Err(source) => Err(source),
    }
}

fn empty(folder: &Path) -> Result<bool> {
    let mut any = false;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
        any = true;
    }
    Ok(any)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INGEST: &str = "lib/containerd/io.containerd.content.v1.content/ingest";
    const UUID: &str = "lib/containerd/io.containerd.grpc.v1.introspection/uuid";

    fn data() -> tempfile::TempDir {
        let data = tempfile::tempdir().unwrap();
        for folder in [&format!("{INGEST}/8d28"), UUID.rsplit_once('/').unwrap().0] {
            fs::create_dir_all(data.path().join(folder)).unwrap();
        }
        data
    }

    fn faults_after(data: &Path) -> usize {
        let mut faults = Faults::default();
        take_away(data, &mut faults);
        faults.0.len()
    }

    #[test]
    fn a_power_cut_keeps_no_image_from_coming_and_containerd_from_being_healthy() {
        let data = data();
        fs::write(data.path().join(INGEST).join("8d28/ref"), "").unwrap();
        fs::write(data.path().join(INGEST).join("8d28/data"), "half").unwrap();
        for lost in [&[][..], &[0; 36]] {
            fs::write(data.path().join(UUID), lost).unwrap();
            assert_eq!(faults_after(data.path()), 0);
            assert!(!data.path().join(UUID).exists(), "{lost:?}");
        }
        assert_eq!(fs::read_dir(data.path().join(INGEST)).unwrap().count(), 0);
    }

    #[test]
    fn what_is_whole_stays_and_what_is_not_there_is_no_fault() {
        let data = data();
        let whole = "0f9ab2a2-8f3b-4d2c-9c53-6f0a7a3f1c11";
        fs::write(data.path().join(UUID), whole).unwrap();
        let blob = data.path().join("lib/containerd/io.containerd.content.v1.content/blob");
        fs::write(&blob, [0; 36]).unwrap();
        assert_eq!(faults_after(data.path()), 0);
        assert_eq!(fs::read_to_string(data.path().join(UUID)).unwrap(), whole);
        assert!(blob.exists());
        assert_eq!(faults_after(&data.path().join("nothing")), 0);
    }

    #[test]
    fn of_a_pair_both_go_where_one_is_lost() {
        let data = data();
        let [cert, key] =
            ["crt", "key"].map(|end| data.path().join(format!("lib/kubelet/pki/kubelet.{end}")));
        fs::create_dir_all(cert.parent().unwrap()).unwrap();
        for [first, second] in [["whole", ""], ["", "whole"]] {
            fs::write(&cert, first).unwrap();
            fs::write(&key, second).unwrap();
            assert_eq!(faults_after(data.path()), 0);
            assert!(!cert.exists() && !key.exists(), "{first:?} {second:?}");
        }
        fs::write(&cert, "whole").unwrap();
        fs::write(&key, "whole").unwrap();
        assert_eq!(faults_after(data.path()), 0);
        assert!(cert.exists() && key.exists());
        fs::remove_file(&key).unwrap();
        assert_eq!(faults_after(data.path()), 0);
        assert!(!cert.exists());
    }

    #[test]
    fn what_cannot_be_read_is_told_and_left_as_it_is() {
        let data = data();
        fs::create_dir(data.path().join(UUID)).unwrap();
        assert_eq!(faults_after(data.path()), 1);
        assert!(data.path().join(UUID).exists());
    }
}
