// SPDX-License-Identifier: Apache-2.0
//! The channel to PID 1: reports out, orders in, never waiting.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use kubermesh_node::channel::{Envelope, MESSAGE_LIMIT, Order, Report, VERSION};
use kubermesh_sys::{inherited, seqpacket};
use rustix::io::Errno;

/// A worker's end of the channel.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
}

/// Why the channel failed. A worker whose channel is closed ends: PID 1 starts it again.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// Started by hand.
    #[error("$KUBERMESH_CHANNEL names no descriptor: a worker is started by PID 1")]
    NotInherited,
    /// PID 1 closed it.
    #[error("the channel to PID 1 is closed")]
    Closed,
    /// PID 1 does not read for the moment; say it again later.
    #[error("the channel to PID 1 is full")]
    Full,
    /// Longer than a message may be.
    #[error("a report of {given} bytes, allowed are {MESSAGE_LIMIT}")]
    TooLong {
        /// Its length.
        given: usize,
    },
    /// Not of this version, or no order.
    #[error("PID 1 said what this worker does not understand (its version {version})")]
    Foreign {
        /// The version that PID 1 speaks; 0 where even that was not understood.
        version: u32,
    },
    /// The socket itself.
    #[error("the channel to PID 1")]
    Socket(#[source] Errno),
}

impl Channel {
    /// Takes the descriptor that PID 1 left. Call it once, first of all.
    ///
    /// # Errors
    /// There is none: the worker was started by hand.
    pub fn inherit() -> Result<Self, ChannelError> {
        let number = std::env::var("KUBERMESH_CHANNEL").ok().and_then(|text| text.parse().ok());
        let socket = number.and_then(|number| inherited::take(number).ok());
        socket.map(|socket| Self { socket }).ok_or(ChannelError::NotInherited)
    }

    /// A channel over this socket: a test's own end of a [`seqpacket::pair`].
    #[must_use]
    pub const fn over(socket: OwnedFd) -> Self {
        Self { socket }
    }

    /// Says a fact to PID 1.
    ///
    /// # Errors
    /// [`ChannelError::Full`] is for a moment; [`ChannelError::Closed`] for good.
    pub fn send(&self, report: &Report) -> Result<(), ChannelError> {
        let envelope = Envelope { version: VERSION, body: report };
        let bytes =
            serde_json::to_vec(&envelope).map_err(|_| ChannelError::TooLong { given: 0 })?;
        if bytes.len() > MESSAGE_LIMIT {
            return Err(ChannelError::TooLong { given: bytes.len() });
        }
        seqpacket::send(&self.socket, &bytes, None).map_err(|refusal| match refusal {
            Errno::AGAIN => ChannelError::Full,
            Errno::PIPE | Errno::CONNRESET => ChannelError::Closed,
            other => ChannelError::Socket(other),
        })
    }

    /// The next order and the descriptor that came with it; none for now.
    ///
    /// # Errors
    /// [`ChannelError::Closed`] is for good; a foreign message may be told and passed over.
    pub fn receive(&self) -> Result<Option<(Order, Option<OwnedFd>)>, ChannelError> {
        let message = match seqpacket::receive(&self.socket, MESSAGE_LIMIT) {
            Err(Errno::AGAIN) => return Ok(None),
            Err(Errno::CONNRESET) | Ok(None) => return Err(ChannelError::Closed),
            Err(refusal) => return Err(ChannelError::Socket(refusal)),
            Ok(Some(message)) => message,
        };
        match serde_json::from_slice::<Envelope<Order>>(&message.bytes) {
            Ok(Envelope { version: VERSION, body }) => Ok(Some((body, message.descriptor))),
            Ok(Envelope { version, .. }) => Err(ChannelError::Foreign { version }),
            Err(_) => Err(ChannelError::Foreign { version: 0 }),
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use kubermesh_node::time::Span;

    use super::*;

    #[test]
    fn an_order_arrives_as_it_was_sent_and_a_report_leaves_in_its_envelope() {
        let (ours, theirs) = seqpacket::pair().unwrap();
        let channel = Channel::over(ours);
        seqpacket::send(&theirs, br#"{"version":1,"body":{"identify":{"lasts":"10s"}}}"#, None)
            .unwrap();
        let (order, descriptor) = channel.receive().unwrap().unwrap();
        assert_eq!(order, Order::Identify { lasts: Span::from_secs(10) });
        assert!(descriptor.is_none() && channel.receive().unwrap().is_none());
        channel.send(&Report::Pong { number: 7 }).unwrap();
        let sent = seqpacket::receive(&theirs, 1024).unwrap().unwrap();
        assert_eq!(sent.bytes, br#"{"version":1,"body":{"pong":{"number":7}}}"#);
    }

    #[test]
    fn a_closed_channel_is_told_from_an_empty_one() {
        let (ours, theirs) = seqpacket::pair().unwrap();
        let channel = Channel::over(ours);
        assert!(channel.receive().unwrap().is_none());
        drop(theirs);
        assert!(matches!(channel.receive(), Err(ChannelError::Closed)));
    }
}
