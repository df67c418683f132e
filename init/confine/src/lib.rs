// SPDX-License-Identifier: Apache-2.0
//! Takes away what a service does not need, and becomes it.
//!
//! ```text
//! PID 1 ─► kubermesh confine FILE -- COMMAND
//!            └► devices ─► view ─► capabilities ─► calls ─► execve(COMMAND): same process, same descriptors
//! ```
//!
//! FILE is the service's own, COMMAND what PID 1 made of its `command`. Each step takes what the
//! next ones still need last: a cgroup's device program wants CAP_BPF, mounts want CAP_SYS_ADMIN.
//! What cannot be done ends the launcher with a sentence, never with a service that may do more.
//! What is deliberately absent: a user of its own for each service (`docs/security.md` says why).

mod calls;
mod capabilities;
mod devices;
mod view;

use std::convert::Infallible;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use kubermesh_node::service::{Privileges, SpecError};

/// Why a service was not started.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// Started by hand, and wrongly.
    #[error("confine wants a service file, -- and a command: PID 1 starts it")]
    Usage,
    /// The service file cannot be read.
    #[error("read {}", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Its reason.
        source: std::io::Error,
    },
    /// It says what is not understood.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// It says nothing of privileges: then nobody asked for this.
    #[error("{} has no [privileges]", .path.display())]
    None {
        /// Which.
        path: PathBuf,
    },
    /// Its devices.
    #[error(transparent)]
    Devices(#[from] devices::DevicesError),
    /// What it sees.
    #[error(transparent)]
    View(#[from] view::ViewError),
    /// Its capabilities.
    #[error(transparent)]
    Capabilities(#[from] capabilities::CapabilitiesError),
    /// Its system calls.
    #[error(transparent)]
    Calls(#[from] calls::CallsError),
    /// The program itself.
    #[error("execute {}", .program.display())]
    Execute {
        /// Which.
        program: PathBuf,
        /// Its reason.
        source: std::io::Error,
    },
}

/// `kubermesh confine FILE -- COMMAND`: does not come back, but with an error.
///
/// # Errors
/// Something could not be taken away, or the command not be executed.
pub fn run() -> Result<Infallible, ConfineError> {
    let mut words = std::env::args_os().skip(2);
    let file = words.next().ok_or(ConfineError::Usage)?;
    let is_separated = words.next().is_some_and(|word| word == "--");
    let command: Vec<OsString> = words.collect();
    match command.split_first() {
        Some((program, arguments)) if is_separated => {
            confine(Path::new(&file), Path::new(program), arguments)
        }
        Some(_) | None => Err(ConfineError::Usage),
    }
}

fn confine(
    file: &Path,
    program: &Path,
    arguments: &[OsString],
) -> Result<Infallible, ConfineError> {
    let privileges = read(file)?;
    devices::allow_only(&privileges.devices)?;
    bound(&privileges)?;
    let source = Command::new(program).args(arguments).exec();
    Err(ConfineError::Execute { program: program.to_owned(), source })
}

/// All but its devices: those are its cgroup's, the rest is the calling thread's.
fn bound(privileges: &Privileges) -> Result<(), ConfineError> {
    // Made before the view changes: what follows only makes system calls.
    let filters = calls::Filters::of(&privileges.system_calls)?;
    if !privileges.keeps_view {
        view::enter(privileges)?;
    }
    capabilities::keep_only(&privileges.capabilities)?;
    Ok(filters.install()?)
}

fn read(path: &Path) -> Result<Privileges, ConfineError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfineError::Read { path: path.to_owned(), source })?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Privileges::parse(&name, &text)?.ok_or_else(|| ConfineError::None { path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use kubermesh_node::service::privileges::Purpose;
    use nix::sched::CloneFlags;
    use rustix::io::Errno;
    use rustix::net::{AddressFamily, SocketType};

    use super::*;

    /// Confines a thread of this test for the rest of its life, but for its devices: those are the
    /// whole cgroup's, and that is this machine's.
    fn as_confined<T: Send + 'static>(
        privileges: Privileges,
        deed: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let confined = move || {
            bound(&privileges).unwrap();
            deed()
        };
        std::thread::spawn(confined).join().unwrap()
    }

    fn refused(done: std::io::Result<impl Sized>) -> Option<Errno> {
        done.err().and_then(|refusal| Errno::from_io_error(&refusal))
    }

    #[test]
    fn it_sees_what_is_named_and_writes_what_may_be_written() {
        let folder = tempfile::tempdir_in("/run").unwrap();
        for name in ["seen", "written", "hidden"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        std::fs::write(folder.path().join("alone"), "x").unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let privileges = Privileges {
            system_calls: vec![Purpose::Files],
            sees: vec![path("seen"), path("alone")],
            writes: vec![path("written"), path("made")],
            ..Privileges::default()
        };
        let at = folder.path().to_owned();
        let (seen, outcomes) = as_confined(privileges, move || {
            let mut seen: Vec<_> =
                std::fs::read_dir(&at).unwrap().map(|one| one.unwrap().file_name()).collect();
            seen.sort();
            let write = |name: &str| refused(std::fs::write(at.join(name), "words"));
            let places = ["seen/a", "written/a", "made/a", "alone", "new", "../new"];
            (
                seen,
                [places.map(write), [refused(std::fs::write("/proc/self/comm", "x")); 6]].concat(),
            )
        });
        assert_eq!(seen, ["alone", "made", "seen", "written"]);
        let (no, yes) = (Some(Errno::ROFS), None);
        assert_eq!(outcomes, [no, yes, yes, no, no, no, no, no, no, no, no, no]);
        // What it wrote is the node's, and what it saw of mounts was its own.
        assert_eq!(std::fs::read(folder.path().join("written/a")).unwrap(), b"words");
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains(folder.path().to_str().unwrap()), "{mounts}");
    }

    #[test]
    fn what_it_writes_it_cannot_execute_and_it_starts_no_process() {
        let folder = tempfile::tempdir_in("/run").unwrap();
        let path = folder.path().to_str().unwrap().to_owned();
        let privileges = Privileges {
            system_calls: vec![Purpose::Files],
            writes: vec![path],
            ..Privileges::default()
        };
        let program = folder.path().join("program");
        let (executed, forked) = as_confined(privileges, move || {
            std::fs::copy("/bin/true", &program).unwrap();
            std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
            let executed = refused(Err::<(), _>(Command::new(&program).exec()));
            (executed, refused(Command::new("/bin/true").status()))
        });
        assert_eq!((executed, forked), (Some(Errno::ACCESS), Some(Errno::PERM)));
    }

    #[test]
    fn calls_and_capabilities_that_are_not_named_are_refused() {
        let privileges = Privileges {
            capabilities: vec!["NET_ADMIN".to_owned()],
            system_calls: vec![Purpose::Unix],
            ..Privileges::default()
        };
        let (outcomes, status) = as_confined(privileges, || {
            let socket = |family| rustix::net::socket(family, SocketType::DGRAM, None).err();
            let outcomes = [
                socket(AddressFamily::UNIX),
                socket(AddressFamily::INET6),
                socket(AddressFamily::NETLINK),
                refused(std::fs::create_dir("/run/x")),
                rustix::thread::set_no_new_privs(false).err(),
                nix::sched::unshare(CloneFlags::CLONE_NEWUSER).err().map(|_| Errno::PERM),
                rustix::process::kill_process(
                    rustix::process::Pid::INIT,
                    rustix::process::Signal::CONT,
                )
                .err(),
            ];
            (outcomes, std::fs::read_to_string("/proc/thread-self/status").unwrap())
        });
        let no = Some(Errno::PERM);
        assert_eq!(outcomes, [None, no, no, no, no, no, no]);
        for line in [
            "CapEff:\t0000000000001000",
            "CapBnd:\t0000000000001000",
            "NoNewPrivs:\t1",
            "Seccomp:\t2",
        ] {
            assert!(status.contains(line), "{line} is not in:\n{status}");
        }
    }
}
