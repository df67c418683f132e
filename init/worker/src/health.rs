// SPDX-License-Identifier: Apache-2.0
//! The socket by which `probe` sees that a worker's loop still turns.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// A worker's health socket, answered by the loop that does the work.
#[derive(Debug)]
pub struct Health {
    listener: UnixListener,
}

/// Why the health socket cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("listen at {path}")]
pub struct HealthError {
    path: PathBuf,
    source: std::io::Error,
}

impl Health {
    /// Listens at [`FOLDER`]`/<worker>`; an earlier run's socket is replaced.
    ///
    /// # Errors
    /// The folder is not there or not ours.
    pub fn listen(worker: &str) -> Result<Self, HealthError> {
        Self::listen_at(&Path::new(FOLDER).join(worker))
    }

    fn listen_at(path: &Path) -> Result<Self, HealthError> {
        let attempt = || {
            match std::fs::remove_file(path) {
                Err(refusal) if refusal.kind() != std::io::ErrorKind::NotFound => {
                    return Err(refusal);
                }
                Err(_) | Ok(()) => {}
            }
            let listener = UnixListener::bind(path)?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        };
        attempt()
            .map(|listener| Self { listener })
            .map_err(|source| HealthError { path: path.to_owned(), source })
    }

    /// Answers all who ask now with `ok` and a newline. Call it when the descriptor is readable.
    pub fn answer(&self) {
        while let Ok((mut asker, _)) = self.listener.accept() {
            // An asker that has gone away needs no answer; three bytes always fit its buffer.
            let _ = std::io::Write::write_all(&mut asker, b"ok\n");
        }
    }
}

impl AsFd for Health {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

/// Where the health sockets are; PID 1 makes it.
const FOLDER: &str = "/run/kubermesh/health";

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn who_asks_gets_ok_once_the_loop_turns() {
        let path = std::env::temp_dir().join(format!("kubermesh-health-{}", std::process::id()));
        let health = Health::listen_at(&path).unwrap();
        let mut asker = UnixStream::connect(&path).unwrap();
        health.answer();
        let mut said = String::new();
        asker.read_to_string(&mut said).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(said, "ok\n");
    }
}
