// SPDX-License-Identifier: Apache-2.0
//! Ways in for the fuzz targets (`tests/fuzz`), which see no more of a crate than others do. Only
//! a build with `cfg(fuzzing)` has them.

use std::path::PathBuf;

use netlink_packet_route::RouteNetlinkMessage;
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};

use crate::ground::Ground;
use crate::sense::netlink;
use crate::think::dialogue::Dialogue;
use crate::think::effect::Question;

/// What BIRD says in these pieces to who has asked it everything, as events in words.
///
/// # Errors
/// It is not BIRD.
pub fn bird<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<String>, String> {
    let mut dialogue = Dialogue::new();
    for question in [Question::Echo, Question::Configure, Question::Neighbours, Question::Configure]
    {
        let _ = dialogue.ask(question);
    }
    let mut events = Vec::new();
    for piece in pieces {
        let heard = dialogue.hear(piece).map_err(|babble| babble.to_string())?;
        events.extend(heard.iter().map(|event| format!("{event:?}")));
    }
    Ok(events)
}

/// A notice of rtnetlink as an event in words; none where it says nothing that matters here.
#[must_use]
pub fn netlink(bytes: &[u8]) -> Option<String> {
    let ground = Ground {
        sys: PathBuf::from("/dev/null/sys"),
        also_ports: vec!["eth0".to_owned()],
        ..Ground::default()
    };
    let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes).ok()?;
    let NetlinkPayload::InnerMessage(notice) = message.payload else { return None };
    netlink::translate(&ground, &notice).map(|event| format!("{event:?}"))
}
