// SPDX-License-Identifier: Apache-2.0
//! Varlink's framing (<https://varlink.org/Method-Call>): a JSON object and a NUL byte, each way.
//!
//! Pure: bytes in, values out. Both ends use it: PID 1's control socket, the log worker's, and the
//! command line. What is deliberately absent: upgrades, and an interface compiler.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The longest message in bytes, its NUL included. A longer one ends the connection.
pub const FRAME_LIMIT: usize = 64 * 1024;

/// A call, as it comes from a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Interface and method: `org.kubermesh.Node.Status`.
    pub method: String,
    /// Its arguments.
    #[serde(default)]
    pub parameters: Value,
    /// The client takes more than one answer.
    #[serde(default, skip_serializing_if = "is_false")]
    pub more: bool,
    /// The client takes no answer.
    #[serde(default, skip_serializing_if = "is_false")]
    pub oneway: bool,
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The results, or the error's arguments.
    #[serde(default)]
    pub parameters: Value,
    /// The error's full name: `org.kubermesh.Node.NoSuchService`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// More answers follow.
    #[serde(default, skip_serializing_if = "is_false")]
    pub continues: bool,
}

/// Why bytes are not a Varlink message.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Longer than [`FRAME_LIMIT`].
    #[error("a message of {given} bytes, allowed are {FRAME_LIMIT}")]
    TooLong {
        /// Bytes seen so far.
        given: usize,
    },
    /// Not the JSON object that Varlink asks for.
    #[error("not a Varlink message")]
    Malformed(#[from] serde_json::Error),
}

/// Takes the first whole message out of `buffer`; none where its end has not come yet.
///
/// # Errors
/// A message that is too long or no JSON of the wanted form; the connection should then end.
pub fn take<T: for<'de> Deserialize<'de>>(buffer: &mut Vec<u8>) -> Result<Option<T>, FrameError> {
    let Some(end) = buffer.iter().position(|byte| *byte == 0) else {
        return if buffer.len() < FRAME_LIMIT {
            Ok(None)
        } else {
            Err(FrameError::TooLong { given: buffer.len() })
        };
    };
    let rest = buffer.split_off(end.saturating_add(1));
    let mut frame = std::mem::replace(buffer, rest);
    frame.truncate(end);
    if frame.len() >= FRAME_LIMIT {
        return Err(FrameError::TooLong { given: frame.len() });
    }
    Ok(Some(serde_json::from_slice(&frame)?))
}

/// A message as bytes, with its NUL.
///
/// # Errors
/// A value that JSON cannot hold (a map with keys that are no strings).
pub fn frame<T: Serialize>(message: &T) -> Result<Vec<u8>, FrameError> {
    let mut bytes = serde_json::to_vec(message)?;
    bytes.push(0);
    Ok(bytes)
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's skip_serializing_if passes a reference"
)]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_calls_in_one_read_come_out_one_by_one_and_a_half_one_waits() {
        let mut buffer =
            b"{\"method\":\"a.B\"}\0{\"method\":\"a.C\",\"more\":true}\0{\"met".to_vec();
        let first: Call = take(&mut buffer).unwrap().unwrap();
        let second: Call = take(&mut buffer).unwrap().unwrap();
        assert_eq!(
            (first.method.as_str(), second.method.as_str(), second.more),
            ("a.B", "a.C", true)
        );
        assert!(take::<Call>(&mut buffer).unwrap().is_none());
    }

    #[test]
    fn an_endless_message_is_refused_rather_than_kept() {
        let mut buffer = vec![b' '; 64 * 1024];
        assert!(matches!(take::<Call>(&mut buffer), Err(FrameError::TooLong { .. })));
    }
}
