// SPDX-License-Identifier: Apache-2.0
//! The lines between a test and the agent in the guest.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// What the host asks.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    /// Comes back in the answer.
    pub number: u64,
    /// What to do.
    pub deed: Deed,
}

/// What the agent can do.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    /// Answer.
    Ping,
    /// Run a program to its end. There is no shell between.
    Run {
        /// Program and arguments.
        command: Vec<String>,
        /// After this the whole process group is killed.
        limit_ms: u64,
    },
    /// Start a program and leave it.
    Start {
        /// Program and arguments.
        command: Vec<String>,
    },
    /// Read a file.
    Read {
        /// Its path.
        path: String,
    },
    /// Write a file.
    Write {
        /// Its path.
        path: String,
        /// All of it.
        content: Bytes,
        /// Its permission bits.
        mode: u32,
    },
    /// Make a program hang.
    Jam {
        /// Its process id.
        pid: i32,
        /// How.
        lock: Lock,
    },
}

/// How a program hangs: it lives, and no thread of it ever gets any further.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lock {
    /// Each thread runs in a circle.
    Live,
    /// Each thread sleeps and wakes for nothing.
    Dead,
}

impl Deed {
    pub(super) fn words(&self) -> String {
        match self {
            Self::Ping => "ping".to_owned(),
            Self::Run { command, .. } => format!("run {}", command.join(" ")),
            Self::Start { command } => format!("start {}", command.join(" ")),
            Self::Read { path } => format!("read {path}"),
            Self::Write { path, .. } => format!("write {path}"),
            Self::Jam { pid, lock } => format!("jam {pid}: {lock:?}"),
        }
    }
}

/// What the agent answers.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    /// Of the request.
    pub number: u64,
    /// How it went.
    pub reply: Reply,
}

/// How a deed went.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// Nothing to tell.
    Done,
    /// A program ended.
    Ran {
        /// Its exit status; 128 and the signal for one that was killed.
        status: i32,
        /// What it wrote.
        stdout: Bytes,
        /// What it complained about.
        stderr: Bytes,
    },
    /// A program runs.
    Started {
        /// Its process id.
        pid: i32,
    },
    /// A file.
    Read {
        /// All of it.
        content: Bytes,
    },
    /// A program hangs.
    Jammed {
        /// So many threads.
        threads: usize,
    },
    /// It did not work.
    Failed {
        /// Why.
        reason: String,
    },
}

/// Any bytes, in hexadecimal digits: a line of JSON holds no others.
#[derive(Clone, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl Bytes {
    /// As text; what is not UTF-8 becomes a mark.
    pub fn into_text(self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} bytes", self.0.len())
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut digits = String::with_capacity(self.0.len() * 2);
        for byte in &self.0 {
            digits.push(char::from(DIGITS[usize::from(byte >> 4)]));
            digits.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        serializer.serialize_str(&digits)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = String::deserialize(deserializer)?;
        let bytes: Option<Vec<u8>> = digits
            .as_bytes()
            .chunks(2)
            .map(|pair| {
                std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok())
            })
            .collect();
        bytes.map(Bytes).ok_or_else(|| de::Error::custom("not hexadecimal digits"))
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_answers_are_lines_of_json() {
        let request = Request {
            number: 7,
            deed: Deed::Run { command: vec!["id".into(), "-u".into()], limit_ms: 500 },
        };
        let answer = r#"{"number":7,"reply":{"ran":{"status":0,"stdout":"300a","stderr":""}}}"#;

        let line = serde_json::to_string(&request).unwrap();
        let Reply::Ran { status, stdout, .. } =
            serde_json::from_str::<Answer>(answer).unwrap().reply
        else {
            panic!("not an end of a program");
        };

        assert_eq!(line, r#"{"number":7,"deed":{"run":{"command":["id","-u"],"limit_ms":500}}}"#);
        assert_eq!((status, stdout.into_text().as_str()), (0, "0\n"));
    }
}
