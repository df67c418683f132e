// SPDX-License-Identifier: Apache-2.0
//! PID 1's control socket, as a program inside would speak to it.

use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{Mode, OFlags};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use rustix::thread::{Gid, Uid};
use serde_json::{Value, json};

/// A client of the control socket.
#[derive(Debug)]
pub struct Client {
    socket: UnixStream,
}

impl Client {
    /// A client that may only read: this user inside, from outside of its PID namespace.
    pub(super) fn of_user(pid: u32, user: u32) -> Result<Self> {
        Self::of_user_after(pid, user, || Ok(()))
    }

    /// The same one, which is on its way before this is done, and connects right after.
    pub(super) fn of_user_after(
        pid: u32,
        user: u32,
        deed: impl FnOnce() -> Result<()> + Send,
    ) -> Result<Self> {
        let connect = |root: &Path| {
            let path = root.join("run/kubermesh/control");
            deed()?;
            Ok(UnixStream::connect(path)?)
        };
        Self::over(as_user(pid, user, connect).context("connect to the control socket")?)
    }

    /// A client that is a process of this user inside. PID 1 believes only who has a pid in its own
    /// namespace, so an actor connects and lends the connection.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn of_process(pid: u32, user: u32) -> Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = inside_as(pid, user, &["/actor", "lend"]);
        let output = command.stdin(Stdio::from(OwnedFd::from(theirs))).output()?;
        // Its end would stay open in the command.
        drop(command);
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "connect to the control socket: {errors}");
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut word = [0; 8];
        let mut bytes = [IoSliceMut::new(&mut word)];
        rustix::net::recvmsg(&ours, &mut bytes, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
        let lent = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut rights) => rights.next(),
            RecvAncillaryMessage::ScmCredentials(_) | _ => None,
        });
        Self::over(UnixStream::from(lent.context("the actor lent nothing")?))
    }

    fn over(socket: UnixStream) -> Result<Self> {
        socket.set_read_timeout(Some(super::patience()))?;
        socket.set_write_timeout(Some(super::patience()))?;
        Ok(Self { socket })
    }

    /// Calls a method of `org.kubermesh.Node`; its answer's parameters.
    ///
    /// # Errors
    /// The node answers with an error, or not.
    pub fn call(&mut self, method: &str, parameters: &Value) -> Result<Value> {
        self.call_with(method, parameters, None)
    }

    /// The same, with a descriptor sent along.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn call_with(
        &mut self,
        method: &str,
        parameters: &Value,
        descriptor: Option<BorrowedFd<'_>>,
    ) -> Result<Value> {
        let method = if method.contains('.') {
            method.to_owned()
        } else {
            format!("org.kubermesh.Node.{method}")
        };
        let mut bytes = serde_json::to_vec(&json!({"method": method, "parameters": parameters}))?;
        bytes.push(0);
        self.send(&bytes, descriptor).with_context(|| format!("call {method}"))?;
        let answer = self.receive().with_context(|| format!("hear the answer of {method}"))?;
        if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
            bail!("{method} answers {error} {}", answer["parameters"]);
        }
        Ok(answer["parameters"].clone())
    }

    fn send(&mut self, bytes: &[u8], descriptor: Option<BorrowedFd<'_>>) -> Result<()> {
        let descriptors: Vec<_> = descriptor.into_iter().collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
        }
        let slices = [IoSlice::new(bytes)];
        let sent =
            rustix::net::sendmsg(&self.socket, &slices, &mut ancillary, SendFlags::NOSIGNAL)?;
        Ok(self.socket.write_all(&bytes[sent..])?)
    }

    /// The next whole message.
    ///
    /// # Errors
    /// None comes, or no JSON.
    pub fn receive(&mut self) -> Result<Value> {
        let mut message = Vec::new();
        let mut byte = [0];
        loop {
            if self.socket.read(&mut byte)? == 0 {
                bail!("the node hangs up after {} bytes", message.len());
            }
            if byte == [0] {
                return Ok(serde_json::from_slice(&message)?);
            }
            message.extend(byte);
        }
    }

    /// The socket itself, for bytes that are no call.
    pub const fn socket(&mut self) -> &mut UnixStream {
        &mut self.socket
    }
}

/// Does something as this user inside, to whom files then belong; the path is that of the root.
pub(super) fn as_user<T: Send>(
    pid: u32,
    user: u32,
    deed: impl FnOnce(&Path) -> Result<T> + Send,
) -> Result<T> {
    let root = format!("/proc/{pid}/root");
    let root = rustix::fs::open(&root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .with_context(|| format!("open {root}"))?;
    let path = PathBuf::from(format!("/proc/self/fd/{}", root.as_raw_fd()));
    // The kernel notes who does it; one thread changes who it is, and ends.
    std::thread::scope(|scope| {
        let doing = scope.spawn(|| {
            become_user(super::FIRST_USER + user)?;
            deed(&path)
        });
        doing.join().unwrap_or_else(|_| bail!("the thread ended"))
    })
}

fn become_user(user: u32) -> std::io::Result<()> {
    let (user, group) = (Uid::from_raw(user), Gid::from_raw(super::FIRST_USER));
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(group, group, group)?;
    Ok(rustix::thread::set_thread_res_uid(user, user, user)?)
}

/// A program of the root, as root inside, beside PID 1's children.
pub(super) fn inside(pid: u32, argv: &[&str]) -> Command {
    inside_as(pid, 0, argv)
}

/// The same, as this user inside.
fn inside_as(pid: u32, user: u32, argv: &[&str]) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--setuid", &user.to_string(), "--setgid", &user.to_string()]);
    command.args(["--all", "--root", "--wd=/", "--target", &pid.to_string(), "--"]);
    command.args(argv).stdin(Stdio::null());
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
}
