// SPDX-License-Identifier: Apache-2.0
//! Does to links, addresses and files what it is told.
//!
//! Idempotent: what is already there is what was asked for.

mod address;
pub(crate) mod file;
mod link;

use std::error::Error;
use std::time::Duration;

use rtnetlink::Handle;
use rustix::io::Errno;
use tokio::time::timeout;

use crate::think::effect::Effect;

/// Why the kernel refused, in words. What it refused to a port that was pulled out meanwhile is no refusal:
/// its notice of that is on its way.
pub(crate) async fn ask_kernel(handle: &Handle, effect: &Effect) -> Option<String> {
    let sentence = match timeout(PATIENCE, attempt(handle, effect)).await {
        Ok(answer) => chain(answer.err()?.as_ref()),
        Err(_) => format!("{effect}: no answer from the kernel within 5s"),
    };
    if let Some(link) = effect.link()
        && timeout(PATIENCE, link::is_gone(handle, link)).await == Ok(true)
    {
        tracing::info!(%effect, "the link went away meanwhile");
        return None;
    }
    tracing::warn!(%effect, reason = sentence, "the kernel refused");
    Some(sentence)
}

async fn attempt(handle: &Handle, effect: &Effect) -> Result<(), Box<dyn Error>> {
    match effect {
        Effect::Set { port, key, value, .. } => file::set(port, key, value)?,
        Effect::Resize { link, mtu } => link::resize(handle, *link, *mtu).await?,
        Effect::Name { link, altname } => link::name(handle, *link, altname).await?,
        Effect::Raise { link } => link::raise(handle, *link).await?,
        Effect::AddAddress { link, address } => address::add(handle, *link, *address).await?,
        Effect::WriteBirdConfig(_)
        | Effect::WriteConflist(_)
        | Effect::Ask(_)
        | Effect::SayReady => {}
    }
    Ok(())
}

/// An error and its causes on one line.
fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(reason) = cause {
        line.push_str(": ");
        line.push_str(&reason.to_string());
        cause = reason.source();
    }
    line
}

/// The kernel's error number, where it is the kernel that refused.
fn errno(refusal: &rtnetlink::Error) -> Option<Errno> {
    let rtnetlink::Error::NetlinkError(message) = refusal else { return None };
    message.to_io().raw_os_error().map(Errno::from_raw_os_error)
}

/// For one answer of the kernel, which takes microseconds; a driver that brings its port up may
/// take long.
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::think::link::LinkIndex;

    fn answers(effects: &[Effect]) -> Vec<Option<String>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (connection, handle, _) = rtnetlink::new_connection().unwrap();
            tokio::spawn(connection);
            let mut answers = Vec::new();
            for effect in effects {
                answers.push(ask_kernel(&handle, effect).await);
            }
            answers
        })
    }

    fn set(link: u32, port: &str) -> Effect {
        let (link, port) = (LinkIndex::new(link), port.to_owned());
        Effect::Set { link, port, key: "no_such_key", value: "1" }
    }

    #[test]
    fn what_the_kernel_refused_to_a_port_that_went_away_is_no_refusal() {
        // The kernel counts its links from 1 upwards.
        let pulled = 2_000_000_000;
        let raise = Effect::Raise { link: LinkIndex::new(pulled) };
        assert_eq!(answers(&[raise, set(pulled, "pulled0")]), [None, None]);
        let to_lo = answers(&[set(1, "lo")]);
        let wanted =
            "write /proc/sys/net/ipv6/conf/lo/no_such_key: No such file or directory (os error 2)";
        assert_eq!(to_lo, [Some(wanted.to_owned())]);
    }
}
