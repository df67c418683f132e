// SPDX-License-Identifier: Apache-2.0
//! Carries Ethernet frames one way, from a socket of its own to that of a port. What the port has no room for is lost.
//!
//! Without it a QEMU that sends to a machine which reads nothing (paused, or still in its firmware) spins: poll(2) calls a
//! datagram socket without a peer writable while sendto(2) says EAGAIN (`net.unix.max_dgram_qlen` is 10).

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};

/// Runs until it is dropped.
pub(crate) struct Pump {
    socket: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Pump {
    /// Takes frames at `socket`, which is made, and gives them to `port`, which may come and go.
    pub(crate) fn start(socket: PathBuf, port: &Path) -> Result<Self> {
        let from = UnixDatagram::bind(&socket)
            .with_context(|| format!("make the socket {}", socket.display()))?;
        let to = UnixDatagram::unbound().context("make a socket")?;
        to.set_nonblocking(true).context("make a socket that does not wait")?;
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, port) = (Arc::clone(&stop), port.to_path_buf());
        let carry = move || {
            let mut frame = vec![0; LONGEST_FRAME];
            while let Ok(length) = from.recv(&mut frame) {
                if stopped.load(Ordering::Acquire) {
                    break;
                }
                // A full queue, and a machine without power: the frame is lost, as on a wire.
                let _ = to.send_to(&frame[..length], &port);
            }
        };
        let thread =
            thread::Builder::new().name("pump".into()).spawn(carry).context("start a thread")?;
        Ok(Self { socket, stop, thread: Some(thread) })
    }

    /// Where it takes frames.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Wakes the thread. Its queue may be full; then it is awake.
        let woken = UnixDatagram::unbound().and_then(|socket| {
            socket.set_nonblocking(true)?;
            socket.send_to(&[], &self.socket)
        });
        drop(woken);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// With every offload that virtio-net knows.
const LONGEST_FRAME: usize = 1 << 17;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Folder;

    #[test]
    fn frames_arrive_and_what_nobody_reads_holds_up_nobody() {
        let folder = Folder::new("pump").unwrap();
        let port = UnixDatagram::bind(folder.file("port")).unwrap();
        port.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let pump = Pump::start(folder.file("near"), &folder.file("port")).unwrap();
        let sender = UnixDatagram::unbound().unwrap();
        sender.set_write_timeout(Some(Duration::from_secs(5))).unwrap();

        for _ in 0..1000 {
            sender.send_to(b"frame", pump.socket()).expect("the pump must always take frames");
        }

        let mut frame = [0; 16];
        assert_eq!(port.recv(&mut frame).unwrap(), 5);
        drop(port);
        sender.send_to(b"frame", pump.socket()).expect("a machine without power holds up nobody");
        drop(pump);
    }
}
