// SPDX-License-Identifier: Apache-2.0
//! `kubermesh upgrade-init`: gives PID 1 a program to become, and sees that it answers.
//!
//! ```text
//! FILE ─► a static program for this machine? ─► memory ─► UpgradeInit and its descriptor ─► rehearsed
//!                                     Status, over the same connection ─► the new PID 1's answer, or WentBack
//! ```

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kubermesh_console::asking::{AskError, call};
use kubermesh_node::control::Request;
use kubermesh_node::varlink::{self, Reply};
use kubermesh_sys::{Errno, memory, seqpacket};
use object::Endianness;
use object::elf::{EM_X86_64, FileHeader64, PT_INTERP};
use object::read::elf::{FileHeader, ProgramHeader};
use serde_json::Value;

/// Why PID 1 is the program that it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpgradeError {
    #[error("read {}", .path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} cannot become PID 1: {why}", .path.display())]
    Unfit { path: PathBuf, why: &'static str },
    #[error("copy {} into memory", .path.display())]
    Copy { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Ask(#[from] AskError),
}

/// Has PID 1 become this program; its first answer, which is that to `Status`.
pub(crate) fn upgrade(socket: &Path, file: &Path) -> Result<Value, UpgradeError> {
    let unreadable = |source| UpgradeError::Read { path: file.to_owned(), source };
    let program = std::fs::read(file).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode();
    if let Some(why) = unfit(&program, mode) {
        return Err(UpgradeError::Unfit { path: file.to_owned(), why });
    }
    let copied = memory::anonymous(c"init").map_err(Into::into).and_then(|memory| {
        let mut memory = File::from(memory);
        memory.write_all(&program).map(|()| memory)
    });
    let copy = copied.map_err(|source| UpgradeError::Copy { path: file.to_owned(), source })?;
    let mut line = Line::to(socket)?;
    line.ask(&Request::UpgradeInit {}, Some(copy.as_fd()))?;
    Ok(line.ask(&Request::Status {}, None)?)
}

/// Why a file cannot be PID 1; none where it may.
fn unfit(program: &[u8], mode: u32) -> Option<&'static str> {
    if mode & 0o111 == 0 {
        return Some("it is not executable");
    }
    let Ok(header) = FileHeader64::<Endianness>::parse(program) else {
        return Some("it is no ELF program for 64 bits");
    };
    let Ok(endian) = header.endian() else { return Some("it is a torn ELF program") };
    if header.e_machine(endian) != EM_X86_64 {
        return Some("it is a program for another machine");
    }
    let Ok(segments) = header.program_headers(endian, program) else {
        return Some("it is a torn ELF program");
    };
    let wants_loader = segments.iter().any(|segment| segment.p_type(endian) == PT_INTERP);
    wants_loader.then_some("it is not static")
}

/// A connection that asks one thing after the other.
struct Line<'a> {
    path: &'a Path,
    stream: UnixStream,
    heard: Vec<u8>,
}

impl<'a> Line<'a> {
    fn to(path: &'a Path) -> Result<Self, AskError> {
        let failed = |source: std::io::Error| {
            let path = path.to_owned();
            if source.kind() == ErrorKind::NotFound {
                AskError::Absent { path }
            } else {
                AskError::Broken { path, source }
            }
        };
        let stream = UnixStream::connect(path).map_err(failed)?;
        stream.set_read_timeout(Some(WITHIN)).map_err(failed)?;
        Ok(Self { path, stream, heard: Vec::new() })
    }

    fn ask(&mut self, request: &Request, along: Option<BorrowedFd<'_>>) -> Result<Value, AskError> {
        let foreign = |source| AskError::Foreign { path: self.path.to_owned(), source };
        let broken = |source| AskError::Broken { path: self.path.to_owned(), source };
        let bytes = varlink::frame(&call(request)).map_err(foreign)?;
        match seqpacket::send(&self.stream, &bytes, along) {
            // It has hung up. What it said before that, which is why, is still to be read.
            Ok(()) | Err(Errno::PIPE) => {}
            Err(errno) => return Err(broken(errno.into())),
        }
        loop {
            if let Some(reply) = varlink::take::<Reply>(&mut self.heard).map_err(foreign)? {
                let Some(error) = reply.error else { return Ok(reply.parameters) };
                return Err(AskError::Refused { error, parameters: reply.parameters });
            }
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece) {
                Ok(0) => return Err(broken(ErrorKind::UnexpectedEof.into())),
                Ok(length) => self.heard.extend_from_slice(piece.get(..length).unwrap_or_default()),
                Err(refusal) if refusal.kind() == ErrorKind::Interrupted => {}
                Err(refusal) if refusal.kind() == ErrorKind::WouldBlock => {
                    return Err(AskError::Late { path: self.path.to_owned(), within: WITHIN });
                }
                Err(refusal) => return Err(broken(refusal)),
            }
        }
    }
}

/// PID 1 gives a rehearsal 10 s, and then a trial as many; a busy machine takes some more.
const WITHIN: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    /// A server on a thread of its own takes one call, says this and hangs up; then it is asked once more.
    fn ask_after(said: &[&str]) -> AskError {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control");
        let listener = UnixListener::bind(&path).unwrap();
        let mut line = Line::to(&path).unwrap();
        std::thread::scope(|scope| {
            let server = scope.spawn(|| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut bytes = [0; 4096];
                assert_ne!(stream.read(&mut bytes).unwrap(), 0);
                said.iter().for_each(|words| stream.write_all(words.as_bytes()).unwrap());
            });
            line.ask(&Request::UpgradeInit {}, None).unwrap();
            server.join().unwrap();
        });
        line.ask(&Request::Status {}, None).unwrap_err()
    }

    #[test]
    fn who_went_back_and_hung_up_before_the_next_call_is_heard() {
        let went_back =
            r#"{"error":"org.kubermesh.Node.WentBack","parameters":{"sentence":"why"}}"#;
        let refusal = ask_after(&["{\"parameters\":{}}\0", went_back, "\0"]);
        assert_eq!(refusal.to_string(), "PID 1 is the program that it was: why");
        let AskError::Broken { source, .. } = ask_after(&["{\"parameters\":{}}\0"]) else {
            unreachable!()
        };
        assert_eq!(source.kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_cannot_be_pid_1_is_told_before_anybody_is_asked() {
        // This test itself: for this machine, but with a loader.
        let own = std::fs::read("/proc/self/exe").unwrap();
        assert_eq!(unfit(&own, 0o755), Some("it is not static"));
        assert_eq!(unfit(&own, 0o644), Some("it is not executable"));
        assert_eq!(unfit(b"#!/bin/sh\n", 0o755), Some("it is no ELF program for 64 bits"));
        assert_eq!(unfit(own.get(..40).unwrap(), 0o755), Some("it is no ELF program for 64 bits"));
        assert_eq!(unfit(own.get(..100).unwrap(), 0o755), Some("it is a torn ELF program"));
        let mut foreign = own.clone();
        // e_machine, elf(5): 8 is MIPS.
        foreign.splice(18..20, [8, 0]);
        assert_eq!(unfit(&foreign, 0o755), Some("it is a program for another machine"));
    }
}
