// SPDX-License-Identifier: Apache-2.0
//! All that can happen at the desk, on one channel.

use std::io::Read;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use anyhow::{Context, Result};
use nix::sys::signal::{SigSet, Signal};

/// What happened.
pub(crate) enum Event {
    /// A node's serial port said something.
    Output(usize, Vec<u8>),
    /// Somebody told a light something.
    Light,
    /// Keys were pressed.
    Keys(Vec<u8>),
    /// The terminal has another size.
    Resized,
    /// Ctrl-C in a pipe, a closed terminal, `kill`.
    End,
}

/// Both ends of the channel.
pub(crate) struct Events {
    pub(crate) sender: Sender<Event>,
    pub(crate) receiver: Receiver<Event>,
}

/// Begins to take signals.
pub(crate) fn listen() -> Result<Events> {
    let (sender, receiver) = channel();
    let signals: SigSet =
        [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGWINCH].into_iter().collect();
    signals.thread_block().context("block signals")?;
    let tell = sender.clone();
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            while let Ok(signal) = signals.wait() {
                let event = if signal == Signal::SIGWINCH { Event::Resized } else { Event::End };
                if tell.send(event).is_err() {
                    break;
                }
            }
        })
        .context("start a thread")?;
    Ok(Events { sender, receiver })
}

/// Begins to read the keyboard. The thread ends with the program.
pub(crate) fn read_keys(tell: Sender<Event>) -> Result<()> {
    let read = move || {
        let mut keys = [0; 256];
        while let Ok(count) = std::io::stdin().lock().read(&mut keys) {
            let event = if count == 0 { Event::End } else { Event::Keys(keys[..count].to_vec()) };
            if tell.send(event).is_err() || count == 0 {
                break;
            }
        }
    };
    thread::Builder::new().name("keys".into()).spawn(read).context("start a thread")?;
    Ok(())
}

/// Passes on what comes on a channel of another type.
pub(crate) fn forward<T: Send + 'static>(
    from: Receiver<T>,
    to: Sender<Event>,
    wrap: impl Fn(T) -> Event + Send + 'static,
) -> Result<()> {
    let pass = move || from.into_iter().try_for_each(|value| to.send(wrap(value)));
    thread::Builder::new().name("forward".into()).spawn(pass).context("start a thread")?;
    Ok(())
}
